//! The API server and its store are away, slow or full.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{Act, PATIENCE, Snapshot, dice, on_stage};
use belfry_e2e::proxy::{Call, Fault, Verb, WatchEnd};
use belfry_e2e::rig::Part;
use belfry_e2e::{Outcome, report, secs, wait};
use rustix::process::Signal;

/// How long the operator may take after the API server's return.
const RETURN: Duration = secs(15);

/// How long the API server is away.
fn outage() -> Duration {
    secs(if dice::is_long() { 60 } else { 5 })
}

#[tokio::test]
async fn after_a_crash_of_the_api_server_all_is_in_order_within_15_seconds_of_its_return() -> Outcome {
    on_stage("api-server-killed", async |act| {
        let expected = three_models(act).await?;
        act.clear().await?;
        apply_three(act).await?;
        act.stage.rig.signal(Part::ApiServer, Signal::KILL)?;
        lives_on(act, outage()).await?;
        act.stage.rig.start_part(Part::ApiServer)?;
        recovers(act, &expected).await
    })
    .await
}

#[tokio::test]
async fn an_api_server_that_hangs_half_open_is_waited_for() -> Outcome {
    on_stage("api-server-stopped", async |act| {
        let expected = three_models(act).await?;
        act.clear().await?;
        apply_three(act).await?;
        act.stage.rig.signal(Part::ApiServer, Signal::STOP)?;
        let lived = lives_on(act, outage()).await;
        act.stage.rig.signal(Part::ApiServer, Signal::CONT)?;
        lived?;
        recovers(act, &expected).await
    })
    .await
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for_for_ever() -> Outcome {
    on_stage("never-answered", async |act| {
        let expected = three_models(act).await?;
        act.clear().await?;
        // The second time that the Service of this model is made.
        let is_it =
            |call: &Call| call.verb == Verb::Patch && call.to_string().ends_with("services never-answered/b #2");
        act.proxy.play(move |call| is_it(call).then_some(Fault::Swallow));
        apply_three(act).await?;
        act.until_same(&expected, secs(100)).await?;
        ensure!(act.proxy.injected() > 0, "every request was answered");
        if dice::is_long() {
            // The connections look as if they lived, and no event comes any more.
            act.proxy.end_watches(WatchEnd::Hang);
            act.apply(&variant("b", 4)).await?;
            act.until_condition("b", "SpecAccepted", "True", secs(80)).await?;
        }
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_slow_store_makes_the_operator_slower_and_nothing_else() -> Outcome {
    on_stage("store-slow", async |act| {
        let expected = three_models(act).await?;
        act.clear().await?;
        let mark = act.proxy.mark();
        let stutter = stutter(act);
        let work = async {
            apply_three(act).await?;
            act.until_same(&expected, PATIENCE).await
        };
        tokio::select! {
            biased;
            ended = stutter => ended?,
            done = work => done?,
        }
        act.heal()?;
        let writes = act.proxy.writes_since(mark).len();
        report(&format!("{writes} writes for three models on a slow store"));
        ensure!(writes <= 3 * 20, "{writes} writes for three models");
        act.a_fresh_operator_writes_nothing().await
    })
    .await
}

/// Stops and continues the store all the time: it works a third of it.
async fn stutter(act: &Act<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(150));
    loop {
        act.stage.rig.signal(Part::Etcd, Signal::STOP)?;
        ticks.tick().await;
        ticks.tick().await;
        act.stage.rig.signal(Part::Etcd, Signal::CONT)?;
        ticks.tick().await;
    }
}

#[tokio::test]
async fn a_full_store_is_waited_for() -> Outcome {
    on_stage("store-full", async |act| {
        let expected = three_models(act).await?;
        act.clear().await?;
        apply_three(act).await?;
        alarm(act, "ACTIVATE")?;
        let lived = lives_on(act, secs(5)).await;
        alarm(act, "DEACTIVATE")?;
        lived?;
        recovers(act, &expected).await
    })
    .await
}

/// Raises or ends the store's alarm that its space is used up: with it, it takes no writes.
fn alarm(act: &Act<'_>, action: &str) -> Result<()> {
    let body = format!(r#"{{"action":"{action}","memberID":"0","alarm":"NOSPACE"}}"#);
    let mut stream = TcpStream::connect(("127.0.0.1", act.stage.rig.place().1))?;
    stream.set_read_timeout(Some(secs(5)))?;
    let length = body.len();
    let head = format!("POST /v3/maintenance/alarm HTTP/1.1\r\nHost: etcd\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "etcd: {answer}");
    Ok(())
}

async fn three_models(act: &mut Act<'_>) -> Result<Snapshot> {
    act.operator.start().await?;
    act.expected(&[variant("a", 0), variant("b", 1), variant("c", 5)]).await
}

async fn apply_three(act: &Act<'_>) -> Result<()> {
    for (name, index) in [("a", 0), ("b", 1), ("c", 5)] {
        act.apply(&variant(name, index)).await?;
    }
    Ok(())
}

/// The process goes on and answers its probes.
async fn lives_on(act: &mut Act<'_>, period: Duration) -> Result<()> {
    let operator = &mut act.operator;
    wait::holds("the operator lives", period, async || operator.is_ready()).await
}

async fn recovers(act: &mut Act<'_>, expected: &Snapshot) -> Result<()> {
    let begun = Instant::now();
    wait::until("the state of a run without faults", RETURN, async || {
        belfry_e2e::chaos::snapshot::same(&act.snapshot().await?, expected)
    })
    .await?;
    report(&format!("{}: in order after {:.1} s", act.namespace, begun.elapsed().as_secs_f64()));
    act.until_same(expected, PATIENCE).await?;
    act.a_fresh_operator_writes_nothing().await
}
