//! The operator is killed after each of its writes in turn, and a new process has to come to the same end.

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, PATIENCE, Snapshot, dice, on_stage};
use belfry_e2e::proxy::Fault;
use belfry_e2e::{Outcome, report};
use serde_json::json;

/// A change that takes more writes than this never ends.
const MOST_WRITES: u64 = 60;

#[tokio::test]
async fn a_crash_after_any_write_of_a_creation_changes_nothing() -> Outcome {
    on_stage("crash-create", async |act| {
        act.operator.start().await?;
        let model = variant("m", 1);
        let expected = act.expected(std::slice::from_ref(&model)).await?;
        let prepare = async |act: &Act<'_>| act.clear().await;
        let change = async |act: &Act<'_>| act.apply(&model).await.map(drop);
        let crashes = crash_after_every_write(act, prepare, change, &expected).await?;
        ensure!(crashes >= 9, "a creation of {crashes} writes");
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_crash_after_any_write_of_an_update_changes_nothing() -> Outcome {
    on_stage("crash-update", async |act| {
        act.operator.start().await?;
        // From one to the other, nearly every kind of child changes, and the dashboard goes or comes.
        let changes = [(1, 2), (2, 3), (3, 5)];
        for (from, to) in changes.into_iter().take(if dice::is_long() { changes.len() } else { 1 }) {
            let (before, after) = (variant("m", from), variant("m", to));
            let expected = act.expected(std::slice::from_ref(&after)).await?;
            let prepare = async |act: &Act<'_>| {
                act.apply(&before).await?;
                act.settled(PATIENCE).await.map(drop)
            };
            let change = async |act: &Act<'_>| act.apply(&after).await.map(drop);
            let crashes = crash_after_every_write(act, prepare, change, &expected).await?;
            ensure!(crashes >= 3, "an update of {crashes} writes");
        }
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_crash_after_any_write_of_a_scaling_changes_nothing() -> Outcome {
    on_stage("crash-scale", async |act| {
        act.operator.start().await?;
        let mut scaled = variant("m", 1);
        scaled["spec"]["replicas"] = json!(3);
        let expected = act.expected(&[scaled.clone()]).await?;
        let prepare = async |act: &Act<'_>| {
            act.apply(&variant("m", 1)).await?;
            act.settled(PATIENCE).await.map(drop)
        };
        let change = async |act: &Act<'_>| act.apply(&scaled).await.map(drop);
        let crashes = crash_after_every_write(act, prepare, change, &expected).await?;
        ensure!(crashes >= 2, "a scaling of {crashes} writes");
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_deleted_while_its_creation_is_broken_off_leaves_nothing() -> Outcome {
    on_stage("crash-delete", async |act| {
        act.operator.start().await?;
        for write in 1..=MOST_WRITES {
            arm(act, write);
            act.apply(&variant("m", 1)).await?;
            let crashed = crash(act).await?;
            act.delete("m").await?;
            if crashed {
                act.operator.start().await?;
            }
            act.until_same(&Snapshot::new(), PATIENCE).await?;
            if !crashed {
                report(&format!("deleted in {} states of creation", write - 1));
                return Ok(());
            }
        }
        anyhow::bail!("the creation does not end")
    })
    .await
}

#[tokio::test]
async fn a_crash_after_the_deletion_of_a_model_leaves_nothing() -> Outcome {
    on_stage("crash-after-delete", async |act| {
        act.operator.start().await?;
        for spec in [0, 1] {
            act.apply(&variant("m", spec)).await?;
            act.settled(PATIENCE).await?;
            let mark = act.proxy.mark();
            act.delete("m").await?;
            act.restart().await?;
            act.until_same(&Snapshot::new(), PATIENCE).await?;
            let writes = act.proxy.writes_since(mark);
            ensure!(writes.is_empty(), "a deletion is the garbage collector's: {}", belfry_e2e::chaos::list(&writes));
        }
        Ok(())
    })
    .await
}

/// Does a change once for each of its writes, with a crash after that write. Gives the number of crashes.
async fn crash_after_every_write(
    act: &mut Act<'_>,
    prepare: impl AsyncFn(&Act<'_>) -> Result<()>,
    change: impl AsyncFn(&Act<'_>) -> Result<()>,
    expected: &Snapshot,
) -> Result<u64> {
    for write in 1..=MOST_WRITES {
        prepare(act).await?;
        arm(act, write);
        change(act).await?;
        let crashed = crash(act).await?;
        if crashed {
            act.operator.start().await?;
        }
        act.until_same(expected, PATIENCE).await?;
        if !crashed {
            report(&format!("{}: crashed after each of {} writes", act.namespace, write - 1));
            return Ok(write - 1);
        }
    }
    anyhow::bail!("more than {MOST_WRITES} writes")
}

/// Freezes the operator after the write of that number, counted from now.
fn arm(act: &Act<'_>, write: u64) {
    let last = act.proxy.writes();
    act.proxy.play(move |call| (call.write == Some(last + write)).then_some(Fault::Freeze));
}

/// Kills the operator when it froze. False when it came to the end of its work before.
async fn crash(act: &mut Act<'_>) -> Result<bool> {
    let crashed = tokio::select! {
        biased;
        () = act.proxy.frozen() => true,
        settled = act.settled(PATIENCE) => settled.map(|_| false)?,
    };
    if crashed {
        act.operator.kill()?;
    }
    act.proxy.behave();
    Ok(crashed)
}
