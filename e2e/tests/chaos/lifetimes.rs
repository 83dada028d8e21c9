//! The operator ends in the middle of its work, there are two of it, or a client keeps it busy.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, Operator, PATIENCE, SILENCE, Snapshot, on_stage};
use belfry_e2e::proxy::Fault;
use belfry_e2e::{Outcome, report, secs, wait};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;

#[tokio::test]
async fn an_operator_that_is_asked_to_end_in_the_middle_of_a_pass_ends_in_order() -> Outcome {
    on_stage("terminated", async |act| {
        let expected = one_model(act).await?;
        act.clear().await?;
        act.proxy.play(|call| call.write.map(|_| Fault::Delay(Duration::from_millis(200))));
        act.apply(&variant("m", 1)).await?;
        let last = act.proxy.writes();
        wait::until("the middle of a pass", PATIENCE, async || {
            ensure!(act.proxy.writes() >= last + 2, "no writes yet");
            Ok(())
        })
        .await?;
        let begun = Instant::now();
        let status = act.operator.terminate(secs(30)).await?;
        ensure!(status.success(), "it ended with {status}");
        report(&format!("ended {:.1} s after SIGTERM", begun.elapsed().as_secs_f64()));
        act.operator.start().await?;
        act.proxy.behave();
        act.until_same(&expected, PATIENCE).await?;
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn two_operators_at_once_agree_and_fall_silent() -> Outcome {
    on_stage("two-operators", async |act| {
        let expected = one_model(act).await?;
        act.clear().await?;
        let folder = act.stage.rig.place().0.join("two-operators-second");
        let mut second = Operator::new(folder, &act.proxy.address())?;
        second.start().await?;
        act.apply(&variant("m", 1)).await?;
        act.until_same(&expected, PATIENCE).await?;
        for index in [2, 3, 1] {
            act.apply(&variant("m", index)).await?;
            act.settled(PATIENCE).await?;
        }
        act.until_same(&expected, PATIENCE).await?;
        drop(second);
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_is_deleted_in_the_middle_of_a_pass_goes_and_is_let_go() -> Outcome {
    on_stage("namespace-deleted", async |act| {
        act.operator.start().await?;
        act.proxy.play(|call| call.write.map(|_| Fault::Delay(Duration::from_millis(100))));
        for name in ["a", "b", "c"] {
            act.apply(&variant(name, 1)).await?;
        }
        let namespaces = Api::<Namespace>::all(act.client.clone());
        namespaces.delete(&act.namespace, &DeleteParams::background()).await?;
        wait::until("the namespace is gone", PATIENCE, async || {
            ensure!(namespaces.get_opt(&act.namespace).await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        // A pass under way may end.
        act.proxy.behave();
        wait::until("silence", secs(10), async || {
            ensure!(act.proxy.idle() >= SILENCE, "requests go on, the last one: {}", act.proxy.last());
            Ok(())
        })
        .await?;
        let mark = act.proxy.mark();
        wait::holds("silence", secs(4), async || {
            let writes = act.proxy.writes_since(mark);
            ensure!(writes.is_empty(), "{}", belfry_e2e::chaos::list(&writes));
            act.operator.is_ready()
        })
        .await?;
        let writes = act.proxy.writes();
        report(&format!("{writes} writes into a namespace that goes"));
        ensure!(writes <= 3 * 30, "{writes} writes for three models");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_edited_ten_times_a_second_keeps_no_other_back() -> Outcome {
    on_stage("flapping", async |act| {
        act.operator.start().await?;
        act.expected(&[variant("other", 0), variant("flapping", 0)]).await?;
        let others = async |act: &Act<'_>| -> Result<Duration> {
            let mut longest = Duration::ZERO;
            for index in [1, 4, 5, 0] {
                let begun = Instant::now();
                act.apply(&variant("other", index)).await?;
                act.until_condition("other", "SpecAccepted", "True", secs(3)).await?;
                longest = longest.max(begun.elapsed());
            }
            Ok(longest)
        };
        let longest = tokio::select! {
            ended = flap(act) => return ended,
            longest = others(act) => longest?,
        };
        report(&format!("edits beside a flapping model are accepted within {:.1} s", longest.as_secs_f64()));
        act.apply(&variant("flapping", 0)).await?;
        act.settled(PATIENCE).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn metrics_that_are_read_all_the_time_keep_no_model_back() -> Outcome {
    on_stage("scraped", async |act| {
        let expected = one_model(act).await?;
        act.clear().await?;
        // A client that connects and asks for nothing, and one that never has enough.
        let idle: Vec<_> = (0..50).map(|_| act.operator.connect()).collect::<Result<_>>()?;
        let begun = Instant::now();
        let work = async |act: &Act<'_>| -> Result<()> {
            act.apply(&variant("m", 1)).await?;
            act.until_condition("m", "SpecAccepted", "True", secs(5)).await.map(drop)
        };
        tokio::select! {
            ended = hammer(act) => ended?,
            done = work(act) => done?,
        }
        report(&format!("accepted within {:.1} s beside 100 scrapes a second", begun.elapsed().as_secs_f64()));
        drop(idle);
        act.until_same(&expected, PATIENCE).await
    })
    .await
}

/// Ten edits a second.
async fn flap(act: &Act<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for index in (0..2).cycle() {
        ticks.tick().await;
        act.apply(&variant("flapping", index)).await?;
    }
    Ok(())
}

/// A hundred scrapes a second.
async fn hammer(act: &Act<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        let answer = act.operator.get("/metrics")?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

async fn one_model(act: &mut Act<'_>) -> Result<Snapshot> {
    act.operator.start().await?;
    act.expected(&[variant("m", 1)]).await
}
