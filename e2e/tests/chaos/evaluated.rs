//! A real Prometheus says what it evaluates and scrapes, and the model repeats it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use belfry_e2e::TestResult;
use belfry_e2e::chaos::specs::variant;
use belfry_e2e::chaos::{FaultTest, PATIENCE, fault_test};
use belfry_e2e::own_prometheus::OwnPrometheus;
use belfry_e2e::wait;
use belfry_render::kind::ChildKind;
use belfry_render::monitoring::{self, OPERATOR_JOB};
use serde_json::{Value, json};

/// A rule that can be loaded, and whose evaluation ends with an error: two series of one name.
const BROKEN: &str = r#"label_replace({__name__=~"up|scrape_duration_seconds"}, "__name__", "one", "", "")"#;

#[tokio::test]
async fn a_model_says_whether_its_rules_are_evaluated_and_its_workers_scraped() -> TestResult {
    fault_test("evaluated", async |test| {
        let folder = test.cluster.control_plane.place().0.join("evaluated-prometheus");
        drop(fs::remove_dir_all(&folder));
        let files = Files::new(&folder)?;
        let prometheus =
            OwnPrometheus::start(&folder.join("first"), &files.config(&test.operator.address().to_string())).await?;
        let url = format!("--prometheus-url={}", prometheus.url());
        test.operator.with(&[&url]);
        test.operator.start().await?;
        test.apply(&variant("m", 1)).await?;
        test.settled(PATIENCE).await?;
        test.until_condition("m", "RulesEvaluating", "Unknown Pending", PATIENCE).await?;
        let running = json!({"phase": "Running", "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}]});
        test.set_pod_status("m", &running).await?;

        files.load(&rules(test).await?, &json!([target(test, "m")]))?;
        prometheus.reload()?;
        test.until_condition("m", "RulesEvaluating", "True RulesEvaluated", PATIENCE).await?;
        test.until_condition("m", "TargetsUp", "True TargetsScraped", PATIENCE).await?;
        test.until_condition("m", "MonitoringReady", "True", PATIENCE).await?;
        test.a_fresh_operator_writes_nothing().await?;
        ensure!(firing(&prometheus, "m").await?.is_empty(), "an alert rings while all is well");

        files.load(&json!([]), &json!([]))?;
        prometheus.reload()?;
        let limit = 2 * PATIENCE;
        let said = test.until_condition("m", "RulesEvaluating", "False RulesNotLoaded", limit).await?;
        ensure!(said.contains("inference.evaluated.m."), "{said}");
        test.until_condition("m", "TargetsUp", "False TargetsMissing", limit).await?;
        test.until_condition("m", "MonitoringReady", "False RulesNotLoaded", limit).await?;
        until_only(&prometheus, "m", "not-loaded").await?;

        let mut broken = rules(test).await?;
        broken[0]["rules"][0]["expr"] = json!(BROKEN);
        files.load(&broken, &json!([target(test, "m")]))?;
        prometheus.reload()?;
        test.until_condition("m", "RulesEvaluating", "False RuleFailing", limit).await?;
        until_only(&prometheus, "m", "failing").await?;
        drop(prometheus);
        let said = test.until_condition("m", "RulesEvaluating", "Unknown PrometheusUnreadable", limit).await?;
        ensure!(said.contains("http://127.0.0.1"), "{said}");
        Ok(())
    })
    .await
}

/// The values of the label `cause` with which InferenceRulesNotLoaded fires for a model.
async fn firing(prometheus: &OwnPrometheus, model: &str) -> Result<Vec<String>> {
    let alerts = format!(
        r#"ALERTS{{alertname="InferenceRulesNotLoaded",alertstate="firing",model="{model}",severity="critical"}}"#
    );
    let causes = prometheus.query(&alerts).await?.into_iter();
    Ok(causes.map(|alert| alert["metric"]["cause"].as_str().unwrap_or_default().to_owned()).collect())
}

async fn until_only(prometheus: &OwnPrometheus, model: &str, cause: &str) -> Result<()> {
    let what = format!("InferenceRulesNotLoaded fires for {cause} alone");
    wait::until(&what, PATIENCE, async || {
        let causes = firing(prometheus, model).await?;
        ensure!(causes == [cause], "{causes:?}");
        Ok(())
    })
    .await
}

/// The rules of the chart, with seconds in place of their minutes.
fn chart_rules() -> Result<Value> {
    let mut rules = serde_json::to_value(monitoring::operator_rules())?;
    in_seconds(&mut rules);
    Ok(rules)
}

/// Puts seconds in place of the minutes for which conditions must hold, and alerts go on.
pub(crate) fn in_seconds(rules: &mut Value) {
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    for group in groups {
        group["interval"] = "1s".into();
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            for time in ["for", "keep_firing_for"] {
                if let Some(minutes) = rule[time].as_str().and_then(|time| time.strip_suffix('m')) {
                    rule[time] = format!("{minutes}s").into();
                }
            }
        }
    }
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
pub(crate) struct Files {
    chart_rules: PathBuf,
    rules: PathBuf,
    targets: PathBuf,
}

impl Files {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file = |name| folder.join(name);
        let files =
            Self { chart_rules: file("chart-rules.yaml"), rules: file("rules.yaml"), targets: file("targets.json") };
        fs::write(&files.chart_rules, chart_rules()?.to_string())?;
        files.load(&json!([]), &json!([]))?;
        Ok(files)
    }

    pub(crate) fn config(&self, operator: &str) -> Value {
        let of_operator = json!({
            "job_name": OPERATOR_JOB, "honor_labels": true, "static_configs": [{"targets": [operator]}],
        });
        json!({
            "global": {"evaluation_interval": "1s", "scrape_interval": "1s"},
            "rule_files": [self.chart_rules, self.rules],
            "scrape_configs": [{"job_name": "workers", "file_sd_configs": [{"files": [self.targets]}]}, of_operator],
        })
    }

    pub(crate) fn load(&self, groups: &Value, targets: &Value) -> Result<()> {
        fs::write(&self.rules, json!({"groups": groups}).to_string()).context("no place for rules")?;
        fs::write(&self.targets, targets.to_string()).context("no place for targets")
    }
}
