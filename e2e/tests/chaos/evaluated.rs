//! A real Prometheus says what it evaluates and scrapes, and the model repeats it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use belfry_e2e::TestResult;
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test, list};
use belfry_e2e::own_prometheus::OwnPrometheus;
use belfry_render::kind::ChildKind;
use serde_json::{Value, json};

use super::reasons::set_pods;

/// A rule that can be loaded, and whose evaluation ends with an error: two series of one name.
const BROKEN: &str = r#"label_replace({__name__=~"up|scrape_duration_seconds"}, "__name__", "one", "", "")"#;

#[tokio::test]
async fn a_model_says_whether_its_rules_are_evaluated_and_its_workers_scraped() -> TestResult {
    fault_test("evaluated", async |test| {
        let folder = test.cluster.control_plane.place().0.join("evaluated-prometheus");
        drop(fs::remove_dir_all(&folder));
        let files = Files::new(&folder)?;
        let prometheus = OwnPrometheus::start(&folder.join("first"), &files.config()).await?;
        let url = format!("--prometheus-url={}", prometheus.url());
        test.operator.with(&[&url]);
        test.operator.start().await?;
        test.apply(&variant("m", 1)).await?;
        test.settled(PATIENCE).await?;
        test.until_condition("m", "RulesEvaluating", "Unknown Pending", PATIENCE).await?;
        set_pods(test, "m", &json!({"phase": "Running", "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}]}))
            .await?;

        files.load(&rules(test).await?, &json!([target(test, "m")]))?;
        prometheus.reload()?;
        test.until_condition("m", "RulesEvaluating", "True RulesEvaluated", PATIENCE).await?;
        test.until_condition("m", "TargetsUp", "True TargetsScraped", PATIENCE).await?;
        test.until_condition("m", "MonitoringReady", "True", PATIENCE).await?;
        let mark = test.proxy.mark();
        test.restart().await?;
        test.settled(PATIENCE).await?;
        let writes = test.proxy.writes_since(mark);
        ensure!(writes.is_empty(), "a restart wrote {}", list(&writes));

        files.load(&json!([]), &json!([]))?;
        prometheus.reload()?;
        let limit = 2 * PATIENCE;
        let said = test.until_condition("m", "RulesEvaluating", "False RulesNotLoaded", limit).await?;
        ensure!(said.contains("inference.evaluated.m."), "{said}");
        test.until_condition("m", "TargetsUp", "False TargetsMissing", limit).await?;
        test.until_condition("m", "MonitoringReady", "False RulesNotLoaded", limit).await?;

        let mut broken = rules(test).await?;
        broken[0]["rules"][0]["expr"] = json!(BROKEN);
        files.load(&broken, &json!([target(test, "m")]))?;
        prometheus.reload()?;
        test.until_condition("m", "RulesEvaluating", "False RuleFailing", PATIENCE).await?;
        drop(prometheus);
        let said = test.until_condition("m", "RulesEvaluating", "Unknown PrometheusUnreadable", limit).await?;
        ensure!(said.contains("http://127.0.0.1"), "{said}");
        Ok(())
    })
    .await
}

/// The groups of rules that the operator wrote for the model.
async fn rules(test: &FaultTest<'_>) -> Result<Value> {
    let mut rule = test.children(ChildKind::PrometheusRule).get("m").await?;
    Ok(rule.data["spec"]["groups"].take())
}

/// The operator's own metrics stand for those of a worker: only `up` matters.
fn target(test: &FaultTest<'_>, model: &str) -> Value {
    let labels = json!({"namespace": test.namespace, "model": model});
    json!({"targets": [test.operator.address()], "labels": labels})
}

/// What Prometheus reads.
struct Files {
    rules: PathBuf,
    targets: PathBuf,
}

impl Files {
    fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let files = Self { rules: folder.join("rules.yaml"), targets: folder.join("targets.json") };
        files.load(&json!([]), &json!([]))?;
        Ok(files)
    }

    fn config(&self) -> Value {
        json!({
            "global": {"evaluation_interval": "1s", "scrape_interval": "1s"},
            "rule_files": [self.rules],
            "scrape_configs": [{"job_name": "workers", "file_sd_configs": [{"files": [self.targets]}]}],
        })
    }

    fn load(&self, groups: &Value, targets: &Value) -> Result<()> {
        fs::write(&self.rules, json!({"groups": groups}).to_string()).context("no place for rules")?;
        fs::write(&self.targets, targets.to_string()).context("no place for targets")
    }
}
