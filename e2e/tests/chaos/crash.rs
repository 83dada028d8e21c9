//! The operator is killed after each of its writes in turn, and a new process has to come to the same end.

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, Snapshot, dice, fault_test};
use belfry_e2e::proxy::Fault;
use belfry_e2e::{TestResult, report};
use serde_json::json;

/// A change that takes more writes than this never ends.
const MOST_WRITES: u64 = 60;

#[tokio::test]
async fn a_crash_after_any_write_of_a_creation_changes_nothing() -> TestResult {
    fault_test("crash-create", async |test| {
        test.operator.start().await?;
        let model = variant("m", 1);
        let expected = test.expected(std::slice::from_ref(&model)).await?;
        let prepare = async |test: &FaultTest<'_>| test.clear().await;
        let change = async |test: &FaultTest<'_>| test.apply(&model).await.map(drop);
        let crashes = crash_after_every_write(test, prepare, change, &expected).await?;
        ensure!(crashes >= 9, "a creation of {crashes} writes");
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_crash_after_any_write_of_an_update_changes_nothing() -> TestResult {
    fault_test("crash-update", async |test| {
        test.operator.start().await?;
        // From one to the other, nearly every kind of child changes, and the dashboard goes or comes.
        let changes = [(1, 2), (2, 3), (3, 5)];
        for (from, to) in changes.into_iter().take(if dice::is_long() { changes.len() } else { 1 }) {
            let (before, after) = (variant("m", from), variant("m", to));
            let expected = test.expected(std::slice::from_ref(&after)).await?;
            let prepare = async |test: &FaultTest<'_>| {
                test.apply(&before).await?;
                test.settled(PATIENCE).await.map(drop)
            };
            let change = async |test: &FaultTest<'_>| test.apply(&after).await.map(drop);
            let crashes = crash_after_every_write(test, prepare, change, &expected).await?;
            ensure!(crashes >= 3, "an update of {crashes} writes");
        }
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_crash_after_any_write_of_a_scaling_changes_nothing() -> TestResult {
    fault_test("crash-scale", async |test| {
        test.operator.start().await?;
        let mut scaled = variant("m", 1);
        scaled["spec"]["replicas"] = json!(3);
        let expected = test.expected(&[scaled.clone()]).await?;
        let prepare = async |test: &FaultTest<'_>| {
            test.apply(&variant("m", 1)).await?;
            test.settled(PATIENCE).await.map(drop)
        };
        let change = async |test: &FaultTest<'_>| test.apply(&scaled).await.map(drop);
        let crashes = crash_after_every_write(test, prepare, change, &expected).await?;
        ensure!(crashes >= 2, "a scaling of {crashes} writes");
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_deleted_while_its_creation_is_broken_off_leaves_nothing() -> TestResult {
    fault_test("crash-delete", async |test| {
        test.operator.start().await?;
        for write in 1..=MOST_WRITES {
            arm(test, write);
            test.apply(&variant("m", 1)).await?;
            let crashed = crash(test).await?;
            test.delete("m").await?;
            if crashed {
                test.operator.start().await?;
            }
            test.until_same(&Snapshot::new(), PATIENCE).await?;
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
async fn a_crash_after_the_deletion_of_a_model_leaves_nothing() -> TestResult {
    fault_test("crash-after-delete", async |test| {
        test.operator.start().await?;
        for spec in [0, 1] {
            test.apply(&variant("m", spec)).await?;
            test.settled(PATIENCE).await?;
            let mark = test.proxy.mark();
            test.delete("m").await?;
            test.restart().await?;
            test.until_same(&Snapshot::new(), PATIENCE).await?;
            let writes = test.proxy.writes_since(mark);
            ensure!(writes.is_empty(), "a deletion is the garbage collector's: {}", belfry_e2e::chaos::list(&writes));
        }
        Ok(())
    })
    .await
}

/// Does a change once for each of its writes, with a crash after that write. Gives the number of crashes.
async fn crash_after_every_write(
    test: &mut FaultTest<'_>,
    prepare: impl AsyncFn(&FaultTest<'_>) -> Result<()>,
    change: impl AsyncFn(&FaultTest<'_>) -> Result<()>,
    expected: &Snapshot,
) -> Result<u64> {
    for write in 1..=MOST_WRITES {
        prepare(test).await?;
        arm(test, write);
        change(test).await?;
        let crashed = crash(test).await?;
        if crashed {
            test.operator.start().await?;
        }
        test.until_same(expected, PATIENCE).await?;
        if !crashed {
            report(&format!("{}: crashed after each of {} writes", test.namespace, write - 1));
            return Ok(write - 1);
        }
    }
    anyhow::bail!("more than {MOST_WRITES} writes")
}

/// Freezes the operator after the write of that number, counted from now.
fn arm(test: &FaultTest<'_>, write: u64) {
    let last = test.proxy.writes();
    test.proxy.play(move |call| (call.write == Some(last + write)).then_some(Fault::Freeze));
}

/// Kills the operator when it froze. False when it came to the end of its work before.
async fn crash(test: &mut FaultTest<'_>) -> Result<bool> {
    let crashed = tokio::select! {
        biased;
        () = test.proxy.frozen() => true,
        settled = test.settled(PATIENCE) => settled.map(|_| false)?,
    };
    if crashed {
        test.operator.kill()?;
    }
    test.proxy.behave();
    Ok(crashed)
}
