//! The operator's passes as traces, in a real collector.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::own_collector::{OwnCollector, Span};
use belfry_e2e::proxy::{Call, Fault, Refusal, Verb};
use belfry_e2e::{TestResult, wait};

#[tokio::test]
async fn a_pass_is_a_trace_with_its_requests_and_one_that_fails_says_so() -> TestResult {
    fault_test("traces", async |test| {
        let collector = OwnCollector::start(&test.cluster.control_plane.place().0.join("traces-collector")).await?;
        let endpoint = format!("--otlp-traces-endpoint={}", collector.url());
        test.operator.with(&["--enable-trace", &endpoint]);
        test.operator.start().await?;
        let mark = test.proxy.mark();
        test.apply(&variant("m", 0)).await?;
        test.settled(PATIENCE).await?;
        let written = patches(&test.proxy.since(mark), &test.namespace);
        ensure!(written.len() >= 5, "too few to prove anything: {written:?}");
        wait::until("a span for each write", PATIENCE, async || {
            let seen = within_passes(test, &collector.spans()?)?;
            ensure!(seen == written, "{seen:?}, and there were {written:?}");
            Ok(())
        })
        .await?;

        let is_it = |call: &Call| call.verb == Verb::Patch && call.resource == "deployments";
        test.proxy.play(move |call| is_it(call).then(|| Fault::Refuse(Refusal::new(503))));
        test.apply(&variant("m", 2)).await?;
        wait::until("a pass that failed", PATIENCE, async || a_pass_failed(&collector.spans()?)).await
    })
    .await
}

/// Writes of children by kind.
fn patches(calls: &[Call], namespace: &str) -> BTreeMap<String, usize> {
    let is_child = |call: &&Call| {
        call.verb == Verb::Patch && call.namespace == namespace && !call.resource.contains("inferencemodels")
    };
    count(calls.iter().filter(is_child).map(|call| call.resource.clone()))
}

/// The same from the spans. Each has to lie within the pass above it, and to belong to its trace.
fn within_passes(test: &FaultTest<'_>, spans: &[Span]) -> Result<BTreeMap<String, usize>> {
    let is_pass = |span: &&Span| span.field("name") == "reconcile" && span.attribute("belfry.model") == "m";
    let passes: BTreeMap<_, _> = spans.iter().filter(is_pass).map(|pass| (pass.field("spanId"), pass)).collect();
    let mut resources = vec![];
    for request in spans.iter().filter(|span| span.attribute("belfry.api.verb") == "patch") {
        let resource = request.attribute("belfry.api.resource");
        // A pass ends, and is sent, after its requests.
        let pass = passes.get(request.field("parentSpanId")).with_context(|| format!("{resource} in no pass yet"))?;
        let ((begin, end), (first, last)) = (request.time()?, pass.time()?);
        ensure!(first <= begin && end <= last, "{request:?} is not within {pass:?}");
        ensure!(request.field("traceId") == pass.field("traceId"), "{request:?} and {pass:?}");
        ensure!(request.field("name") == format!("patch {resource}"), "{request:?}");
        ensure!(["200", "201"].contains(&request.attribute("http.response.status_code")), "{request:?}");
        ensure!(pass.attribute("k8s.namespace.name") == test.namespace, "{pass:?}");
        ensure!(!pass.attribute("belfry.cause").is_empty() && !pass.is_error(), "{pass:?}");
        ensure!(pass.of_resource("service.name") == "belfry-operator", "{pass:?}");
        if !resource.contains("inferencemodels") {
            resources.push(resource.to_owned());
        }
    }
    Ok(count(resources))
}

fn count(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// The request that was refused is an error, and so is its pass, which has another outcome.
fn a_pass_failed(spans: &[Span]) -> Result<()> {
    let is_refused = |span: &&Span| span.attribute("http.response.status_code") == "503";
    let refused = spans.iter().find(is_refused).context("no request was refused")?;
    ensure!(refused.is_error(), "{refused:?}");
    let pass =
        spans.iter().find(|span| span.field("spanId") == refused.field("parentSpanId")).context("no pass yet")?;
    ensure!(pass.is_error() && pass.attribute("belfry.outcome") == "failed", "{pass:?}");
    Ok(())
}
