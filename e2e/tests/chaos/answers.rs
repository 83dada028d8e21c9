//! The API server answers, but not as hoped.

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, PATIENCE, Snapshot, dice, on_stage};
use belfry_e2e::proxy::{Call, Fault, Refusal, Verb, WatchEnd};
use belfry_e2e::{Outcome, report, secs, wait};

/// How often a model may ask while the API server asks for patience.
const REQUESTS_A_MODEL: usize = 12;

#[tokio::test]
async fn an_api_server_that_asks_for_patience_gets_it() -> Outcome {
    on_stage("storm-429", async |act| {
        let expected = two_models(act).await?;
        act.clear().await?;
        let mark = act.proxy.mark();
        let patience = Refusal { code: 429, retry_after: Some(1) };
        act.proxy.play(move |call| (call.verb != Verb::Watch).then_some(Fault::Refuse(patience)));
        apply_two(act).await?;
        wait::until("requests", PATIENCE, async || {
            ensure!(act.proxy.since(mark).len() >= 4, "too few");
            Ok(())
        })
        .await?;
        let operator = &mut act.operator;
        wait::holds("the operator lives", secs(8), async || operator.is_ready()).await?;
        let asked = act.proxy.since(mark).len();
        report(&format!("{asked} requests for two models in 8 s of 429"));
        ensure!(asked <= 2 * REQUESTS_A_MODEL, "{asked} requests for two models in 8 s");
        act.proxy.behave();
        act.until_same(&expected, secs(30)).await?;
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn errors_on_every_third_write_harm_nothing_whether_it_took_effect_or_not() -> Outcome {
    on_stage("errors-third", async |act| {
        let expected = two_models(act).await?;
        for take_effect in [true, false] {
            act.clear().await?;
            act.proxy.play(move |call| {
                let write = call.write.filter(|write| write % 3 == 0)?;
                let refusal = Refusal::new([500, 503, 504][usize::try_from(write / 3 % 3).ok()?]);
                Some(if take_effect { Fault::LoseAnswer(refusal) } else { Fault::Refuse(refusal) })
            });
            apply_two(act).await?;
            act.until_same(&expected, PATIENCE).await?;
            act.proxy.behave();
        }
        ensure!(act.proxy.injected() >= 8, "only {} faults", act.proxy.injected());
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn broken_connections_harm_nothing_whether_the_write_took_effect_or_not() -> Outcome {
    on_stage("broken", async |act| {
        let expected = two_models(act).await?;
        for fault in [Fault::BreakBefore, Fault::BreakAfter] {
            act.clear().await?;
            act.proxy.play(move |call| call.write.filter(|write| write % 3 == 0).map(|_| fault.clone()));
            apply_two(act).await?;
            act.until_same(&expected, PATIENCE).await?;
            act.proxy.behave();
        }
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_token_that_has_ended_is_waited_for_in_short_pauses() -> Outcome {
    on_stage("token-ended", async |act| {
        let expected = two_models(act).await?;
        act.clear().await?;
        act.proxy.play(|_| Some(Fault::Refuse(Refusal::new(401))));
        act.proxy.end_watches(WatchEnd::Close);
        apply_two(act).await?;
        let operator = &mut act.operator;
        wait::holds("the operator lives", secs(if dice::is_long() { 60 } else { 15 }), async || operator.is_ready())
            .await?;
        act.proxy.behave();
        act.until_same(&expected, secs(15)).await?;
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_conflict_on_every_second_status_write_loses_no_condition() -> Outcome {
    on_stage("conflict-status", async |act| {
        let expected = two_models(act).await?;
        act.clear().await?;
        let is_status = |call: &Call| call.resource == "inferencemodels/status";
        act.proxy.play(move |call| {
            (is_status(call) && call.repetition % 2 == 1).then_some(Fault::Refuse(Refusal::new(409)))
        });
        apply_two(act).await?;
        act.until_same(&expected, PATIENCE).await?;
        ensure!(act.proxy.injected() >= 2, "only {} conflicts", act.proxy.injected());
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn slow_answers_cost_time_and_no_more_writes() -> Outcome {
    on_stage("slow-answers", async |act| {
        let expected = two_models(act).await?;
        act.clear().await?;
        let mark = act.proxy.mark();
        act.proxy.play(|call| call.write.map(|_| Fault::Delay(std::time::Duration::from_millis(300))));
        apply_two(act).await?;
        act.until_same(&expected, PATIENCE).await?;
        let writes = act.proxy.writes_since(mark).len();
        ensure!(writes <= 2 * 20, "{writes} writes for two models");
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

async fn two_models(act: &mut Act<'_>) -> Result<Snapshot> {
    act.operator.start().await?;
    act.expected(&[variant("a", 0), variant("b", 1)]).await
}

async fn apply_two(act: &Act<'_>) -> Result<()> {
    act.apply(&variant("a", 0)).await?;
    act.apply(&variant("b", 1)).await.map(drop)
}
