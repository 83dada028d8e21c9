//! Of two operators one works, and there is always one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, Operator, PATIENCE, Snapshot, fault_test, list};
use belfry_e2e::proxy::{Fault, Proxy, WatchEnd};
use belfry_e2e::{SYSTEM_NAMESPACE, TestResult, report, secs, wait};
use belfry_operator::lease;
use rustix::process::Signal;

/// How long models may be without an operator: the lease's 15 s, and the pause between two looks at it.
const TAKE_OVER: Duration = secs(20);

/// A leader that can't renew its lease gives up after 10 s.
const GIVE_UP: Duration = secs(13);

#[tokio::test]
async fn when_the_leader_is_killed_another_takes_over_within_the_time_of_its_lease() -> TestResult {
    with_two("leader-killed", async |test, second| {
        test.operator.kill()?;
        takes_over(test, second).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_at_once() -> TestResult {
    with_two("leader-stopped", async |test, second| {
        let status = test.operator.terminate(secs(10)).await?;
        ensure!(status.success(), "it ended with {status}");
        wait::until("the other leads", secs(5), async || leads(test, "two")).await?;
        takes_over(test, second).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_cut_off_ends_before_another_works() -> TestResult {
    with_two("leader-cut-off", async |test, second| {
        test.proxy.play(|_| Some(Fault::Swallow));
        test.proxy.end_watches(WatchEnd::Hang);
        let status = test.operator.until_ended(GIVE_UP).await?;
        ensure!(!status.success(), "it ended as if it had been asked to");
        leads(test, "one")?;
        ensure!(second.proxy.writes_since(0).is_empty(), "two of them wrote");
        takes_over(test, second).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_slept_through_its_lease_ends_when_it_wakes() -> TestResult {
    with_two("leader-asleep", async |test, second| {
        test.operator.signal(Signal::STOP)?;
        wait::until("the other leads", TAKE_OVER, async || leads(test, "two")).await?;
        let before = test.proxy.mark();
        test.apply(&variant("m", 3)).await?;
        second.until_applied(test).await?;
        test.operator.signal(Signal::CONT)?;
        let status = test.operator.until_ended(secs(10)).await?;
        ensure!(!status.success(), "it ended as if it had been asked to");
        report(&format!("an operator that woke up wrote: {}", list(&test.proxy.writes_since(before))));
        takes_over(test, second).await
    })
    .await
}

#[tokio::test]
async fn a_lease_that_is_deleted_by_hand_leaves_one_leader() -> TestResult {
    with_two("lease-deleted", async |test, second| {
        delete_lease(test)?;
        // The first operator makes a new one. The other ends, or goes on to wait.
        wait::until("one operator leads", TAKE_OVER, async || holder(test).map(drop)).await?;
        if holder(test)? == "two" {
            test.operator.until_ended(GIVE_UP).await?;
        } else {
            test.operator.kill()?;
        }
        takes_over(test, second).await
    })
    .await
}

/// The operator that waits, with a proxy of its own.
struct Second {
    proxy: Proxy,
    operator: Operator,
    /// What the first operator made of the model.
    expected: Snapshot,
}

impl Second {
    async fn until_applied(&self, test: &FaultTest<'_>) -> Result<()> {
        test.until_condition("m", "SpecAccepted", "True", TAKE_OVER).await?;
        ensure!(!self.proxy.writes_since(0).is_empty(), "another operator applied it");
        Ok(())
    }
}

/// Runs a test with an operator that leads and has made a model, and a second one that waits.
async fn with_two(name: &str, body: impl AsyncFnOnce(&mut FaultTest<'_>, &mut Second) -> Result<()>) -> TestResult {
    fault_test(name, async |test| {
        delete_lease(test)?;
        test.operator.with(&election("one"));
        test.operator.start().await?;
        wait::until("the first leads", PATIENCE, async || leads(test, "one")).await?;
        let expected = test.expected(&[variant("m", 1)]).await?;
        let proxy = Proxy::start(test.cluster.access().await?)?;
        let folder = test.cluster.control_plane.place().0.join(format!("{name}-second"));
        let mut second = Second { operator: Operator::new(folder, &proxy.address())?, proxy, expected };
        second.operator.with(&election("two"));
        second.operator.start().await?;
        // What the first one has to do is not done by the second one.
        test.apply(&variant("m", 2)).await?;
        test.settled(PATIENCE).await?;
        let writes = second.proxy.writes_since(0);
        ensure!(writes.is_empty(), "who waits wrote: {}", list(&writes));
        let outcome = body(test, &mut second).await;
        if outcome.is_err() {
            report(&format!("{name}: the second operator's last lines:\n{}", second.operator.last_lines()));
        }
        outcome
    })
    .await
}

fn election(identity: &str) -> [&str; 5] {
    ["--leader-election", "--own-namespace", SYSTEM_NAMESPACE, "--identity", identity]
}

/// The second operator leads in time, and does what there is to do as the first one would have done it.
async fn takes_over(test: &mut FaultTest<'_>, second: &mut Second) -> Result<()> {
    let begun = Instant::now();
    test.apply(&variant("m", 1)).await?;
    test.until_condition("m", "SpecAccepted", "True", TAKE_OVER).await?;
    report(&format!("{}: the other worked after {:.1} s", test.namespace, begun.elapsed().as_secs_f64()));
    leads(test, "two")?;
    std::mem::swap(&mut test.proxy, &mut second.proxy);
    std::mem::swap(&mut test.operator, &mut second.operator);
    test.until_same(&second.expected, PATIENCE).await
}

fn leads(test: &FaultTest<'_>, identity: &str) -> Result<()> {
    let holder = holder(test)?;
    ensure!(holder == identity, "{holder:?} leads");
    Ok(())
}

fn holder(test: &FaultTest<'_>) -> Result<String> {
    let arguments =
        ["get", "lease", lease::NAME, "--namespace", SYSTEM_NAMESPACE, "--output=jsonpath={.spec.holderIdentity}"];
    let holder = test.cluster.kubectl(&arguments, "")?;
    if holder.is_empty() {
        bail!("no operator leads");
    }
    Ok(holder)
}

fn delete_lease(test: &FaultTest<'_>) -> Result<()> {
    let arguments = ["delete", "lease", lease::NAME, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found"];
    test.cluster.kubectl(&arguments, "").map(drop)
}
