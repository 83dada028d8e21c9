//! The operator ends in the middle of its work, there are two of it, or a client keeps it busy.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, Operator, PATIENCE, SILENCE, Snapshot, fault_test};
use belfry_e2e::proxy::Fault;
use belfry_e2e::{TestResult, report, secs, wait};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;

#[tokio::test]
async fn an_operator_that_is_asked_to_end_in_the_middle_of_a_pass_ends_in_order() -> TestResult {
    fault_test("terminated", async |test| {
        let expected = one_model(test).await?;
        test.clear().await?;
        test.proxy.play(|call| call.write.map(|_| Fault::Delay(Duration::from_millis(200))));
        test.apply(&variant("m", 1)).await?;
        let last = test.proxy.writes();
        wait::until("the middle of a pass", PATIENCE, async || {
            ensure!(test.proxy.writes() >= last + 2, "no writes yet");
            Ok(())
        })
        .await?;
        let begun = Instant::now();
        let status = test.operator.terminate(secs(30)).await?;
        ensure!(status.success(), "it ended with {status}");
        report(&format!("ended {:.1} s after SIGTERM", begun.elapsed().as_secs_f64()));
        test.operator.start().await?;
        test.proxy.behave();
        test.until_same(&expected, PATIENCE).await?;
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn two_operators_at_once_agree_and_fall_silent() -> TestResult {
    fault_test("two-operators", async |test| {
        let expected = one_model(test).await?;
        test.clear().await?;
        let folder = test.cluster.control_plane.place().0.join("two-operators-second");
        let mut second = Operator::new(folder, &test.proxy.address())?;
        second.start().await?;
        test.apply(&variant("m", 1)).await?;
        test.until_same(&expected, PATIENCE).await?;
        for index in [2, 3, 1] {
            test.apply(&variant("m", index)).await?;
            test.settled(PATIENCE).await?;
        }
        test.until_same(&expected, PATIENCE).await?;
        drop(second);
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_is_deleted_in_the_middle_of_a_pass_goes_and_is_let_go() -> TestResult {
    fault_test("namespace-deleted", async |test| {
        test.operator.start().await?;
        test.proxy.play(|call| call.write.map(|_| Fault::Delay(Duration::from_millis(100))));
        for name in ["a", "b", "c"] {
            test.apply(&variant(name, 1)).await?;
        }
        let namespaces = Api::<Namespace>::all(test.client.clone());
        namespaces.delete(&test.namespace, &DeleteParams::background()).await?;
        wait::until("the namespace is gone", PATIENCE, async || {
            ensure!(namespaces.get_opt(&test.namespace).await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        // A pass under way may end.
        test.proxy.behave();
        wait::until("silence", secs(10), async || {
            ensure!(test.proxy.idle() >= SILENCE, "requests go on, the last one: {}", test.proxy.last());
            Ok(())
        })
        .await?;
        let mark = test.proxy.mark();
        wait::holds("silence", secs(4), async || {
            let writes = test.proxy.writes_since(mark);
            ensure!(writes.is_empty(), "{}", belfry_e2e::chaos::list(&writes));
            test.operator.is_ready()
        })
        .await?;
        let writes = test.proxy.writes();
        report(&format!("{writes} writes into a namespace that goes"));
        ensure!(writes <= 3 * 30, "{writes} writes for three models");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_edited_ten_times_a_second_keeps_no_other_back() -> TestResult {
    fault_test("flapping", async |test| {
        test.operator.start().await?;
        test.expected(&[variant("other", 0), variant("flapping", 0)]).await?;
        let others = async |test: &FaultTest<'_>| -> Result<Duration> {
            let mut longest = Duration::ZERO;
            for index in [1, 4, 5, 0] {
                let begun = Instant::now();
                test.apply(&variant("other", index)).await?;
                test.until_condition("other", "SpecAccepted", "True", secs(3)).await?;
                longest = longest.max(begun.elapsed());
            }
            Ok(longest)
        };
        let longest = tokio::select! {
            ended = flap(test) => return ended,
            longest = others(test) => longest?,
        };
        report(&format!("edits beside a flapping model are accepted within {:.1} s", longest.as_secs_f64()));
        test.apply(&variant("flapping", 0)).await?;
        test.settled(PATIENCE).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn metrics_that_are_read_all_the_time_keep_no_model_back() -> TestResult {
    fault_test("scraped", async |test| {
        let expected = one_model(test).await?;
        test.clear().await?;
        // A client that connects and asks for nothing, and one that never has enough.
        let idle: Vec<_> = (0..50).map(|_| test.operator.connect()).collect::<Result<_>>()?;
        let begun = Instant::now();
        let work = async |test: &FaultTest<'_>| -> Result<()> {
            test.apply(&variant("m", 1)).await?;
            test.until_condition("m", "SpecAccepted", "True", secs(5)).await.map(drop)
        };
        tokio::select! {
            ended = hammer(test) => ended?,
            done = work(test) => done?,
        }
        report(&format!("accepted within {:.1} s beside 100 scrapes a second", begun.elapsed().as_secs_f64()));
        drop(idle);
        test.until_same(&expected, PATIENCE).await
    })
    .await
}

/// Ten edits a second.
async fn flap(test: &FaultTest<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for index in (0..2).cycle() {
        ticks.tick().await;
        test.apply(&variant("flapping", index)).await?;
    }
    Ok(())
}

/// A hundred scrapes a second.
async fn hammer(test: &FaultTest<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        let answer = test.operator.get("/metrics")?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

async fn one_model(test: &mut FaultTest<'_>) -> Result<Snapshot> {
    test.operator.start().await?;
    test.expected(&[variant("m", 1)]).await
}
