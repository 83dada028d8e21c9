//! Watches break, in every way in which they can.

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, PATIENCE, SILENCE, Snapshot, list, on_stage, snapshot};
use belfry_e2e::proxy::{Call, Fault, Verb, WatchEnd};
use belfry_e2e::{Outcome, UNSCALED, secs, wait};
use belfry_render::kind::ChildKind;
use serde_json::json;

#[tokio::test]
async fn watches_that_are_closed_again_and_again_go_on_where_they_were() -> Outcome {
    on_stage("watch-closed", async |act| {
        let expected = one_model(act).await?;
        let mark = act.proxy.mark();
        for _ in 0..3 {
            end_watches(act, WatchEnd::Close).await?;
        }
        let calls = act.proxy.since(mark);
        let others: Vec<_> = calls.into_iter().filter(|call| call.verb != Verb::Watch).collect();
        ensure!(others.is_empty(), "closed watches cost more than watches: {}", list(&others));
        still_sees(act, &expected).await
    })
    .await
}

#[tokio::test]
async fn watches_whose_history_is_gone_are_listed_again_and_nothing_is_written() -> Outcome {
    on_stage("watch-gone", async |act| {
        let expected = one_model(act).await?;
        let mark = act.proxy.mark();
        end_watches(act, WatchEnd::Gone).await?;
        let calls = act.proxy.since(mark);
        ensure!(calls.iter().any(|call| call.verb == Verb::List), "nothing was listed again");
        wrote_nothing(act, mark)?;
        still_sees(act, &expected).await
    })
    .await
}

#[tokio::test]
async fn watches_that_break_in_the_middle_of_an_event_go_on() -> Outcome {
    on_stage("watch-cut", async |act| {
        let expected = one_model(act).await?;
        let mark = act.proxy.mark();
        for end in [WatchEnd::Cut, WatchEnd::Garbage] {
            end_watches(act, end).await?;
        }
        wrote_nothing(act, mark)?;
        still_sees(act, &expected).await
    })
    .await
}

#[tokio::test]
async fn every_watch_may_break_in_the_middle_of_the_event_that_matters() -> Outcome {
    on_stage("watch-cut-event", async |act| {
        let expected = one_model(act).await?;
        act.clear().await?;
        // Each watch breaks at its second event after each start, so that most events come with a break.
        act.proxy.play(|call| (call.verb == Verb::Watch).then_some(Fault::EndWatch(1, WatchEnd::Cut)));
        act.proxy.end_watches(WatchEnd::Close);
        act.apply(&variant("m", 1)).await?;
        wait::until("the state of a run without faults", PATIENCE, async || {
            snapshot::same(&act.snapshot().await?, &expected)
        })
        .await?;
        act.proxy.behave();
        act.until_same(&expected, PATIENCE).await?;
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn an_event_that_was_lost_is_made_up_for_by_the_next_one() -> Outcome {
    on_stage("watch-skip", async |act| {
        let expected = one_model(act).await?;
        let is_services = |call: &Call| call.verb == Verb::Watch && call.resource == "services";
        act.proxy.play(move |call| is_services(call).then_some(Fault::SkipEvent(1)));
        act.restart().await?;
        act.settled(PATIENCE).await?;
        act.edit(ChildKind::Service, "m", &json!({"metadata": {"labels": {"belfry.dev/model": "other"}}})).await?;
        wait::holds("the lost event goes unnoticed", SILENCE, async || {
            let label = act.children(ChildKind::Service).get("m").await?.metadata.labels;
            let label = label.and_then(|labels| labels.get("belfry.dev/model").cloned());
            ensure!(label.as_deref() == Some("other"), "{label:?}: the event was not lost");
            Ok(())
        })
        .await?;
        let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
        act.edit(ChildKind::Service, "m", &note).await?;
        act.edit(ChildKind::Service, "m", &json!({"metadata": {"annotations": {"example.com/note": null}}})).await?;
        act.until_same(&expected, secs(10)).await
    })
    .await
}

#[tokio::test]
async fn lists_of_an_api_server_that_lags_behind_undo_nothing() -> Outcome {
    on_stage("stale-list", async |act| {
        act.operator.start().await?;
        act.expected(&[variant("a", 1), variant("b", 0), variant("c", 5)]).await?;
        // The lists of a new process are what an API server that lags behind still shows later.
        act.restart().await?;
        act.settled(PATIENCE).await?;
        act.proxy.remember_lists();
        act.delete("c").await?;
        act.apply(&variant("d", 4)).await?;
        // Deleted and made again: in the past its children have another owner.
        act.delete("b").await?;
        wait::until("the children of b and c are gone", PATIENCE, async || {
            let present = act.snapshot().await?;
            let left = ["b", "c"].map(|model| snapshot::of_model(&present, model).len());
            ensure!(left == [0, 0], "{left:?}");
            Ok(())
        })
        .await?;
        let expected = act.expected(&[variant("a", 3), variant("b", 0)]).await?;
        act.operator.kill()?;
        act.proxy.play(|call| (call.verb == Verb::List).then_some(Fault::StaleList));
        act.operator.start().await?;
        ensure!(act.proxy.injected() >= 9, "only {} lists were stale", act.proxy.injected());
        act.until_same(&expected, PATIENCE).await?;
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

async fn one_model(act: &mut Act<'_>) -> Result<Snapshot> {
    act.operator.start().await?;
    act.expected(&[variant("m", 1)]).await
}

/// Ends all watches, and waits until as many run again.
async fn end_watches(act: &Act<'_>, end: WatchEnd) -> Result<()> {
    let mark = act.proxy.mark();
    act.proxy.end_watches(end);
    let kinds = ChildKind::ALL.len() + 3;
    wait::until("all watches run again", PATIENCE, async || {
        let watches = act.proxy.since(mark).iter().filter(|call| call.verb == Verb::Watch).count();
        ensure!(watches >= kinds, "{watches} of {kinds}");
        Ok(())
    })
    .await?;
    act.settled(PATIENCE).await.map(drop)
}

fn wrote_nothing(act: &Act<'_>, mark: usize) -> Result<()> {
    let writes = act.proxy.writes_since(mark);
    ensure!(writes.is_empty(), "written: {}", list(&writes));
    Ok(())
}

/// The operator notices a deleted child of each kind, and an edit.
async fn still_sees(act: &mut Act<'_>, expected: &Snapshot) -> Result<()> {
    for kind in UNSCALED {
        let name = if *kind == ChildKind::ConfigMap { "m-dashboard" } else { "m" };
        act.children(*kind).delete(name, &kube::api::DeleteParams::background()).await?;
    }
    act.until_same(expected, secs(15)).await?;
    act.apply(&variant("m", 0)).await?;
    act.settled(PATIENCE).await?;
    act.apply(&variant("m", 1)).await?;
    act.until_same(expected, PATIENCE).await
}
