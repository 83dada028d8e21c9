//! Strings that want to break out of rules, dashboards, labels and arguments.

use anyhow::{Context, Result, ensure};
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::{TestResult, report};
use belfry_render::kind::ChildKind;
use serde_json::{Value, json};

const STRINGS: &[&str] = &[
    "\"} or vector(1) #",
    "\\\" $__all ${var}",
    "{{ query \"up\" }}",
    "a\nb",
    "<img src=x onerror=alert(1)>",
    "'; rm -rf / #",
    "\u{1F514}\u{202E}\u{0000}",
    "$(POD_NAME) %s %n",
    "~ null: {a: [b}",
];

/// Free text of a specification.
const FIELDS: &[&str] = &[
    "/spec/observability/owner/contact",
    "/spec/observability/owner/team",
    "/spec/observability/owner/runbookBaseURL",
    "/spec/model/source/pvc/path",
    "/spec/model/source/pvc/claimName",
    "/spec/runtime/image",
    "/spec/observability/monitor/labels/release",
];

#[tokio::test]
async fn hostile_strings_are_refused_or_quoted() -> TestResult {
    fault_test("hostile", async |test| {
        test.operator.start().await?;
        let longest = "x".repeat(253);
        let (mut refused, mut taken) = (0, 0);
        for field in FIELDS {
            for string in STRINGS.iter().copied().chain([longest.as_str()]) {
                let mut model = variant("m", 0);
                insert(&mut model, field, string)?;
                if test.apply(&model).await.is_err() {
                    refused += 1;
                    continue;
                }
                taken += 1;
                let what = || format!("{field} = {string:?}");
                belfry_e2e::wait::until("a verdict", PATIENCE, async || test.condition("m", "SpecAccepted").await)
                    .await
                    .with_context(what)?;
                harmless(test).await.with_context(what)?;
            }
        }
        report(&format!("{refused} hostile strings were refused, {taken} taken"));
        ensure!(taken > 0 && refused > 0, "one of the two was not tried");
        // Once they are gone, all is as it should be.
        test.apply(&variant("m", 0)).await?;
        test.settled(PATIENCE).await.map(drop)
    })
    .await
}

/// Sets a field, with all that it is in.
fn insert(model: &mut Value, path: &str, value: &str) -> Result<()> {
    let mut at = model;
    for part in path.split('/').skip(1) {
        if at.is_null() {
            *at = json!({});
        }
        at = at.as_object_mut().context("not an object")?.entry(part).or_insert(Value::Null);
    }
    *at = json!(value);
    Ok(())
}

/// Rules are rules for promtool, and dashboards are JSON.
async fn harmless(test: &FaultTest<'_>) -> Result<()> {
    if let Some(rule) = test.children(ChildKind::PrometheusRule).get_opt("m").await? {
        test.cluster.check_rules(&rule.data["spec"])?;
    }
    if let Some(dashboard) = test.children(ChildKind::ConfigMap).get_opt("m-dashboard").await? {
        for (file, text) in dashboard.data["data"].as_object().into_iter().flatten() {
            let text = text.as_str().context("no text")?;
            serde_json::from_str::<Value>(text).with_context(|| format!("{file} is no JSON"))?;
        }
    }
    Ok(())
}
