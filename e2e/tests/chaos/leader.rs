//! Of two operators one works, and there is always one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, Operator, PATIENCE, Snapshot, list, on_stage};
use belfry_e2e::proxy::{Fault, Proxy, WatchEnd};
use belfry_e2e::{Outcome, SYSTEM_NAMESPACE, report, secs, wait};
use belfry_operator::lease;
use rustix::process::Signal;

/// How long models may be without an operator: the lease's 15 s, and the pause between two looks at it.
const TAKE_OVER: Duration = secs(20);

/// A leader that can't renew its lease gives up after 10 s.
const GIVE_UP: Duration = secs(13);

#[tokio::test]
async fn when_the_leader_is_killed_another_takes_over_within_the_time_of_its_lease() -> Outcome {
    with_two("leader-killed", async |act, second| {
        act.operator.kill()?;
        takes_over(act, second).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_at_once() -> Outcome {
    with_two("leader-stopped", async |act, second| {
        let status = act.operator.terminate(secs(10)).await?;
        ensure!(status.success(), "it ended with {status}");
        wait::until("the other leads", secs(5), async || leads(act, "two")).await?;
        takes_over(act, second).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_cut_off_ends_before_another_works() -> Outcome {
    with_two("leader-cut-off", async |act, second| {
        act.proxy.play(|_| Some(Fault::Swallow));
        act.proxy.end_watches(WatchEnd::Hang);
        let status = act.operator.until_ended(GIVE_UP).await?;
        ensure!(!status.success(), "it ended as if it had been asked to");
        leads(act, "one")?;
        ensure!(second.proxy.writes_since(0).is_empty(), "two of them wrote");
        takes_over(act, second).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_slept_through_its_lease_ends_when_it_wakes() -> Outcome {
    with_two("leader-asleep", async |act, second| {
        act.operator.signal(Signal::STOP)?;
        wait::until("the other leads", TAKE_OVER, async || leads(act, "two")).await?;
        let before = act.proxy.mark();
        act.apply(&variant("m", 3)).await?;
        second.until_applied(act).await?;
        act.operator.signal(Signal::CONT)?;
        let status = act.operator.until_ended(secs(10)).await?;
        ensure!(!status.success(), "it ended as if it had been asked to");
        report(&format!("an operator that woke up wrote: {}", list(&act.proxy.writes_since(before))));
        takes_over(act, second).await
    })
    .await
}

#[tokio::test]
async fn a_lease_that_is_deleted_by_hand_leaves_one_leader() -> Outcome {
    with_two("lease-deleted", async |act, second| {
        delete_lease(act)?;
        // The first operator makes a new one. The other ends, or goes on to wait.
        wait::until("one operator leads", TAKE_OVER, async || holder(act).map(drop)).await?;
        if holder(act)? == "two" {
            act.operator.until_ended(GIVE_UP).await?;
        } else {
            act.operator.kill()?;
        }
        takes_over(act, second).await
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
    async fn until_applied(&self, act: &Act<'_>) -> Result<()> {
        act.until_condition("m", "SpecAccepted", "True", TAKE_OVER).await?;
        ensure!(!self.proxy.writes_since(0).is_empty(), "another operator applied it");
        Ok(())
    }
}

/// Runs a test with an operator that leads and has made a model, and a second one that waits.
async fn with_two(test: &str, body: impl AsyncFnOnce(&mut Act<'_>, &mut Second) -> Result<()>) -> Outcome {
    on_stage(test, async |act| {
        delete_lease(act)?;
        act.operator.with(&election("one"));
        act.operator.start().await?;
        wait::until("the first leads", PATIENCE, async || leads(act, "one")).await?;
        let expected = act.expected(&[variant("m", 1)]).await?;
        let proxy = Proxy::start(act.stage.access().await?)?;
        let folder = act.stage.rig.place().0.join(format!("{test}-second"));
        let mut second = Second { operator: Operator::new(folder, &proxy.address())?, proxy, expected };
        second.operator.with(&election("two"));
        second.operator.start().await?;
        // What the first one has to do is not done by the second one.
        act.apply(&variant("m", 2)).await?;
        act.settled(PATIENCE).await?;
        let writes = second.proxy.writes_since(0);
        ensure!(writes.is_empty(), "who waits wrote: {}", list(&writes));
        let outcome = body(act, &mut second).await;
        if outcome.is_err() {
            report(&format!("{test}: the second operator's last lines:\n{}", second.operator.last_lines()));
        }
        outcome
    })
    .await
}

fn election(identity: &str) -> [&str; 5] {
    ["--leader-election", "--own-namespace", SYSTEM_NAMESPACE, "--identity", identity]
}

/// The second operator leads in time, and does what there is to do as the first one would have done it.
async fn takes_over(act: &mut Act<'_>, second: &mut Second) -> Result<()> {
    let begun = Instant::now();
    act.apply(&variant("m", 1)).await?;
    act.until_condition("m", "SpecAccepted", "True", TAKE_OVER).await?;
    report(&format!("{}: the other worked after {:.1} s", act.namespace, begun.elapsed().as_secs_f64()));
    leads(act, "two")?;
    std::mem::swap(&mut act.proxy, &mut second.proxy);
    std::mem::swap(&mut act.operator, &mut second.operator);
    act.until_same(&second.expected, PATIENCE).await
}

fn leads(act: &Act<'_>, identity: &str) -> Result<()> {
    let holder = holder(act)?;
    ensure!(holder == identity, "{holder:?} leads");
    Ok(())
}

fn holder(act: &Act<'_>) -> Result<String> {
    let arguments =
        ["get", "lease", lease::NAME, "--namespace", SYSTEM_NAMESPACE, "--output=jsonpath={.spec.holderIdentity}"];
    let holder = act.stage.kubectl(&arguments, "")?;
    if holder.is_empty() {
        bail!("no operator leads");
    }
    Ok(holder)
}

fn delete_lease(act: &Act<'_>) -> Result<()> {
    let arguments = ["delete", "lease", lease::NAME, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found"];
    act.stage.kubectl(&arguments, "").map(drop)
}
