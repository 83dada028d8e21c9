//! The API server answers, but not as hoped.

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, Snapshot, dice, fault_test};
use belfry_e2e::proxy::{Call, Fault, Refusal, Verb, WatchEnd};
use belfry_e2e::{TestResult, report, secs, wait};

/// How often a model may ask while the API server asks for patience.
const REQUESTS_A_MODEL: usize = 12;

#[tokio::test]
async fn an_api_server_that_asks_for_patience_gets_it() -> TestResult {
    fault_test("storm-429", async |test| {
        let expected = two_models(test).await?;
        test.clear().await?;
        let mark = test.proxy.mark();
        let patience = Refusal { code: 429, retry_after: Some(1) };
        test.proxy.play(move |call| (call.verb != Verb::Watch).then_some(Fault::Refuse(patience)));
        apply_two(test).await?;
        wait::until("requests", PATIENCE, async || {
            ensure!(test.proxy.since(mark).len() >= 4, "too few");
            Ok(())
        })
        .await?;
        let operator = &mut test.operator;
        wait::holds("the operator lives", secs(8), async || operator.is_ready()).await?;
        let asked = test.proxy.since(mark).len();
        report(&format!("{asked} requests for two models in 8 s of 429"));
        ensure!(asked <= 2 * REQUESTS_A_MODEL, "{asked} requests for two models in 8 s");
        test.proxy.behave();
        test.until_same(&expected, secs(30)).await?;
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn errors_on_every_third_write_harm_nothing_whether_it_took_effect_or_not() -> TestResult {
    fault_test("errors-third", async |test| {
        let expected = two_models(test).await?;
        for take_effect in [true, false] {
            test.clear().await?;
            test.proxy.play(move |call| {
                let write = call.write.filter(|write| write % 3 == 0)?;
                let refusal = Refusal::new([500, 503, 504][usize::try_from(write / 3 % 3).ok()?]);
                Some(if take_effect { Fault::LoseAnswer(refusal) } else { Fault::Refuse(refusal) })
            });
            apply_two(test).await?;
            test.until_same(&expected, PATIENCE).await?;
            test.proxy.behave();
        }
        ensure!(test.proxy.injected() >= 8, "only {} faults", test.proxy.injected());
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn broken_connections_harm_nothing_whether_the_write_took_effect_or_not() -> TestResult {
    fault_test("broken", async |test| {
        let expected = two_models(test).await?;
        for fault in [Fault::BreakBefore, Fault::BreakAfter] {
            test.clear().await?;
            test.proxy.play(move |call| call.write.filter(|write| write % 3 == 0).map(|_| fault.clone()));
            apply_two(test).await?;
            test.until_same(&expected, PATIENCE).await?;
            test.proxy.behave();
        }
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_token_that_has_ended_is_waited_for_in_short_pauses() -> TestResult {
    fault_test("token-ended", async |test| {
        let expected = two_models(test).await?;
        test.clear().await?;
        test.proxy.play(|_| Some(Fault::Refuse(Refusal::new(401))));
        test.proxy.end_watches(WatchEnd::Close);
        apply_two(test).await?;
        let operator = &mut test.operator;
        wait::holds("the operator lives", secs(if dice::is_long() { 60 } else { 15 }), async || operator.is_ready())
            .await?;
        test.proxy.behave();
        test.until_same(&expected, secs(15)).await?;
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_conflict_on_every_second_status_write_loses_no_condition() -> TestResult {
    fault_test("conflict-status", async |test| {
        let expected = two_models(test).await?;
        test.clear().await?;
        let is_status = |call: &Call| call.resource == "inferencemodels/status";
        test.proxy.play(move |call| {
            (is_status(call) && call.repetition % 2 == 1).then_some(Fault::Refuse(Refusal::new(409)))
        });
        apply_two(test).await?;
        test.until_same(&expected, PATIENCE).await?;
        ensure!(test.proxy.injected() >= 2, "only {} conflicts", test.proxy.injected());
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn slow_answers_cost_time_and_no_more_writes() -> TestResult {
    fault_test("slow-answers", async |test| {
        let expected = two_models(test).await?;
        test.clear().await?;
        let mark = test.proxy.mark();
        test.proxy.play(|call| call.write.map(|_| Fault::Delay(std::time::Duration::from_millis(300))));
        apply_two(test).await?;
        test.until_same(&expected, PATIENCE).await?;
        let writes = test.proxy.writes_since(mark).len();
        ensure!(writes <= 2 * 20, "{writes} writes for two models");
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

async fn two_models(test: &mut FaultTest<'_>) -> Result<Snapshot> {
    test.operator.start().await?;
    test.expected(&[variant("a", 0), variant("b", 1)]).await
}

async fn apply_two(test: &FaultTest<'_>) -> Result<()> {
    test.apply(&variant("a", 0)).await?;
    test.apply(&variant("b", 1)).await.map(drop)
}
