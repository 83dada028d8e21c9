//! Watches break, in every way in which they can.

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, SILENCE, Snapshot, fault_test, list, snapshot};
use belfry_e2e::proxy::{Call, Fault, Verb, WatchEnd};
use belfry_e2e::{TestResult, UNSCALED, secs, wait};
use belfry_render::kind::ChildKind;
use serde_json::json;

#[tokio::test]
async fn watches_that_are_closed_again_and_again_go_on_where_they_were() -> TestResult {
    fault_test("watch-closed", async |test| {
        let expected = one_model(test).await?;
        let mark = test.proxy.mark();
        for _ in 0..3 {
            end_watches(test, WatchEnd::Close).await?;
        }
        let calls = test.proxy.since(mark);
        let others: Vec<_> = calls.into_iter().filter(|call| call.verb != Verb::Watch).collect();
        ensure!(others.is_empty(), "closed watches cost more than watches: {}", list(&others));
        still_sees(test, &expected).await
    })
    .await
}

#[tokio::test]
async fn watches_whose_history_is_gone_are_listed_again_and_nothing_is_written() -> TestResult {
    fault_test("watch-gone", async |test| {
        let expected = one_model(test).await?;
        let mark = test.proxy.mark();
        end_watches(test, WatchEnd::Gone).await?;
        let calls = test.proxy.since(mark);
        ensure!(calls.iter().any(|call| call.verb == Verb::List), "nothing was listed again");
        wrote_nothing(test, mark)?;
        still_sees(test, &expected).await
    })
    .await
}

#[tokio::test]
async fn watches_that_break_in_the_middle_of_an_event_go_on() -> TestResult {
    fault_test("watch-cut", async |test| {
        let expected = one_model(test).await?;
        let mark = test.proxy.mark();
        for end in [WatchEnd::Cut, WatchEnd::Garbage] {
            end_watches(test, end).await?;
        }
        wrote_nothing(test, mark)?;
        still_sees(test, &expected).await
    })
    .await
}

#[tokio::test]
async fn every_watch_may_break_in_the_middle_of_the_event_that_matters() -> TestResult {
    fault_test("watch-cut-event", async |test| {
        let expected = one_model(test).await?;
        test.clear().await?;
        // Each watch breaks at its second event after each start, so that most events come with a break.
        test.proxy.play(|call| (call.verb == Verb::Watch).then_some(Fault::EndWatch(1, WatchEnd::Cut)));
        test.proxy.end_watches(WatchEnd::Close);
        test.apply(&variant("m", 1)).await?;
        wait::until("the state of a run without faults", PATIENCE, async || {
            snapshot::same(&test.snapshot().await?, &expected)
        })
        .await?;
        test.proxy.behave();
        test.until_same(&expected, PATIENCE).await?;
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn an_event_that_was_lost_is_made_up_for_by_the_next_one() -> TestResult {
    fault_test("watch-skip", async |test| {
        let expected = one_model(test).await?;
        let is_services = |call: &Call| call.verb == Verb::Watch && call.resource == "services";
        test.proxy.play(move |call| is_services(call).then_some(Fault::SkipEvent(1)));
        test.restart().await?;
        test.settled(PATIENCE).await?;
        test.edit(ChildKind::Service, "m", &json!({"metadata": {"labels": {"belfry.dev/model": "other"}}})).await?;
        wait::holds("the lost event goes unnoticed", SILENCE, async || {
            let label = test.children(ChildKind::Service).get("m").await?.metadata.labels;
            let label = label.and_then(|labels| labels.get("belfry.dev/model").cloned());
            ensure!(label.as_deref() == Some("other"), "{label:?}: the event was not lost");
            Ok(())
        })
        .await?;
        let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
        test.edit(ChildKind::Service, "m", &note).await?;
        test.edit(ChildKind::Service, "m", &json!({"metadata": {"annotations": {"example.com/note": null}}})).await?;
        test.until_same(&expected, secs(10)).await
    })
    .await
}

#[tokio::test]
async fn lists_of_an_api_server_that_lags_behind_undo_nothing() -> TestResult {
    fault_test("stale-list", async |test| {
        test.operator.start().await?;
        test.expected(&[variant("a", 1), variant("b", 0), variant("c", 5)]).await?;
        // The lists of a new process are what an API server that lags behind still shows later.
        test.restart().await?;
        test.settled(PATIENCE).await?;
        test.proxy.remember_lists();
        test.delete("c").await?;
        test.apply(&variant("d", 4)).await?;
        // Deleted and made again: in the past its children have another owner.
        test.delete("b").await?;
        wait::until("the children of b and c are gone", PATIENCE, async || {
            let present = test.snapshot().await?;
            let left = ["b", "c"].map(|model| snapshot::of_model(&present, model).len());
            ensure!(left == [0, 0], "{left:?}");
            Ok(())
        })
        .await?;
        let expected = test.expected(&[variant("a", 3), variant("b", 0)]).await?;
        test.operator.kill()?;
        test.proxy.play(|call| (call.verb == Verb::List).then_some(Fault::StaleList));
        test.operator.start().await?;
        ensure!(test.proxy.injected() >= 9, "only {} lists were stale", test.proxy.injected());
        test.until_same(&expected, PATIENCE).await?;
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

async fn one_model(test: &mut FaultTest<'_>) -> Result<Snapshot> {
    test.operator.start().await?;
    test.expected(&[variant("m", 1)]).await
}

/// Ends all watches, and waits until as many run again.
async fn end_watches(test: &FaultTest<'_>, end: WatchEnd) -> Result<()> {
    let mark = test.proxy.mark();
    test.proxy.end_watches(end);
    let kinds = ChildKind::ALL.len() + 4;
    wait::until("all watches run again", PATIENCE, async || {
        let watches = test.proxy.since(mark).iter().filter(|call| call.verb == Verb::Watch).count();
        ensure!(watches >= kinds, "{watches} of {kinds}");
        Ok(())
    })
    .await?;
    test.settled(PATIENCE).await.map(drop)
}

fn wrote_nothing(test: &FaultTest<'_>, mark: usize) -> Result<()> {
    let writes = test.proxy.writes_since(mark);
    ensure!(writes.is_empty(), "written: {}", list(&writes));
    Ok(())
}

/// The operator notices a deleted child of each kind, and an edit.
async fn still_sees(test: &mut FaultTest<'_>, expected: &Snapshot) -> Result<()> {
    for kind in UNSCALED {
        let name = if *kind == ChildKind::ConfigMap { "m-dashboard" } else { "m" };
        test.children(*kind).delete(name, &kube::api::DeleteParams::background()).await?;
    }
    test.until_same(expected, secs(15)).await?;
    test.apply(&variant("m", 0)).await?;
    test.settled(PATIENCE).await?;
    test.apply(&variant("m", 1)).await?;
    test.until_same(expected, PATIENCE).await
}
