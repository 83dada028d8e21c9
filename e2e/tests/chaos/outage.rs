//! The API server and its store are away, slow or full.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, Snapshot, dice, fault_test};
use belfry_e2e::control_plane::Part;
use belfry_e2e::proxy::{Call, Fault, Verb, WatchEnd};
use belfry_e2e::{TestResult, report, secs, wait};
use rustix::process::Signal;

/// How long the operator may take after the API server's return.
const RETURN: Duration = secs(15);

/// How long the API server is away.
fn outage() -> Duration {
    secs(if dice::is_long() { 60 } else { 5 })
}

#[tokio::test]
async fn after_a_crash_of_the_api_server_all_is_in_order_within_15_seconds_of_its_return() -> TestResult {
    fault_test("api-server-killed", async |test| {
        let expected = three_models(test).await?;
        test.clear().await?;
        apply_three(test).await?;
        test.cluster.control_plane.signal(Part::ApiServer, Signal::KILL)?;
        lives_on(test, outage()).await?;
        test.cluster.control_plane.start_part(Part::ApiServer)?;
        recovers(test, &expected).await
    })
    .await
}

#[tokio::test]
async fn an_api_server_that_hangs_half_open_is_waited_for() -> TestResult {
    fault_test("api-server-stopped", async |test| {
        let expected = three_models(test).await?;
        test.clear().await?;
        apply_three(test).await?;
        test.cluster.control_plane.signal(Part::ApiServer, Signal::STOP)?;
        let lived = lives_on(test, outage()).await;
        test.cluster.control_plane.signal(Part::ApiServer, Signal::CONT)?;
        lived?;
        recovers(test, &expected).await
    })
    .await
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for_for_ever() -> TestResult {
    fault_test("never-answered", async |test| {
        let expected = three_models(test).await?;
        test.clear().await?;
        // The second time that the Service of this model is made.
        let is_it =
            |call: &Call| call.verb == Verb::Patch && call.to_string().ends_with("services never-answered/b #2");
        test.proxy.play(move |call| is_it(call).then_some(Fault::Swallow));
        apply_three(test).await?;
        test.until_same(&expected, secs(100)).await?;
        ensure!(test.proxy.injected() > 0, "every request was answered");
        if dice::is_long() {
            // The connections look as if they lived, and no event comes any more.
            test.proxy.end_watches(WatchEnd::Hang);
            test.apply(&variant("b", 4)).await?;
            test.until_condition("b", "SpecAccepted", "True", secs(80)).await?;
        }
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

#[tokio::test]
async fn a_slow_store_makes_the_operator_slower_and_nothing_else() -> TestResult {
    fault_test("store-slow", async |test| {
        let expected = three_models(test).await?;
        test.clear().await?;
        let mark = test.proxy.mark();
        let stutter = stutter(test);
        let work = async {
            apply_three(test).await?;
            test.until_same(&expected, PATIENCE).await
        };
        tokio::select! {
            biased;
            ended = stutter => ended?,
            done = work => done?,
        }
        test.heal()?;
        let writes = test.proxy.writes_since(mark).len();
        report(&format!("{writes} writes for three models on a slow store"));
        ensure!(writes <= 3 * 20, "{writes} writes for three models");
        test.a_fresh_operator_writes_nothing().await
    })
    .await
}

/// Stops and continues the store all the time: it works a third of it.
async fn stutter(test: &FaultTest<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(150));
    loop {
        test.cluster.control_plane.signal(Part::Etcd, Signal::STOP)?;
        ticks.tick().await;
        ticks.tick().await;
        test.cluster.control_plane.signal(Part::Etcd, Signal::CONT)?;
        ticks.tick().await;
    }
}

#[tokio::test]
async fn a_full_store_is_waited_for() -> TestResult {
    fault_test("store-full", async |test| {
        let expected = three_models(test).await?;
        test.clear().await?;
        apply_three(test).await?;
        alarm(test, "ACTIVATE")?;
        let lived = lives_on(test, secs(5)).await;
        alarm(test, "DEACTIVATE")?;
        lived?;
        recovers(test, &expected).await
    })
    .await
}

/// Raises or ends the store's alarm that its space is used up: with it, it takes no writes.
fn alarm(test: &FaultTest<'_>, action: &str) -> Result<()> {
    let body = format!(r#"{{"action":"{action}","memberID":"0","alarm":"NOSPACE"}}"#);
    let mut stream = TcpStream::connect(("127.0.0.1", test.cluster.control_plane.place().1))?;
    stream.set_read_timeout(Some(secs(5)))?;
    let length = body.len();
    let head = format!("POST /v3/maintenance/alarm HTTP/1.1\r\nHost: etcd\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "etcd: {answer}");
    Ok(())
}

async fn three_models(test: &mut FaultTest<'_>) -> Result<Snapshot> {
    test.operator.start().await?;
    test.expected(&[variant("a", 0), variant("b", 1), variant("c", 5)]).await
}

async fn apply_three(test: &FaultTest<'_>) -> Result<()> {
    for (name, index) in [("a", 0), ("b", 1), ("c", 5)] {
        test.apply(&variant(name, index)).await?;
    }
    Ok(())
}

/// The process goes on and answers its probes.
async fn lives_on(test: &mut FaultTest<'_>, period: Duration) -> Result<()> {
    let operator = &mut test.operator;
    wait::holds("the operator lives", period, async || operator.is_ready()).await
}

async fn recovers(test: &mut FaultTest<'_>, expected: &Snapshot) -> Result<()> {
    let begun = Instant::now();
    wait::until("the state of a run without faults", RETURN, async || {
        belfry_e2e::chaos::snapshot::same(&test.snapshot().await?, expected)
    })
    .await?;
    report(&format!("{}: in order after {:.1} s", test.namespace, begun.elapsed().as_secs_f64()));
    test.until_same(expected, PATIENCE).await?;
    test.a_fresh_operator_writes_nothing().await
}
