//! Cases that prove an alert → a file for `promtool test rules`.
//!
//! Labels and annotations that a case does not name come from the alert's rule.

use std::collections::BTreeMap;

use belfry_crds::monitoring::Rule;
use serde::Serialize;

use super::alert::Alert;
use super::case::{Case, Check, Expected, InputSeries, STEP};
use crate::model::ValidModel;

/// The test file of an alert; `rule_file` is the path of its rules, from the test file.
///
/// # Errors
/// The YAML library's, which texts and maps do not cause.
pub fn file(alert: &Alert, model: &ValidModel, rule_file: &str) -> Result<String, serde_yaml::Error> {
    let rules = [alert.of_model(model), alert.of_operator(), alert.of_watchdog()].concat();
    let tests = (alert.cases)(model).iter().map(|case| test(alert, &rules, case)).collect();
    let file = TestFile { rule_files: vec![rule_file.into()], evaluation_interval: STEP, tests };
    Ok(format!(
        "# Generated from render/src/monitoring/alerts; run it with `promtool test rules`.\n{}",
        serde_yaml::to_string(&file)?
    ))
}

fn test(alert: &Alert, rules: &[Rule], case: &Case) -> Test {
    let mut test = Test {
        name: case.name,
        interval: STEP,
        input_series: case.series.clone(),
        alert_rule_test: vec![],
        promql_expr_test: vec![],
    };
    for check in &case.checks {
        match check {
            Check::Alerts { at, expected } => {
                let exp_alerts = expected.iter().filter_map(|expected| rendered(rules, expected)).collect();
                test.alert_rule_test.push(AlertTest { eval_time: at, alertname: alert.name, exp_alerts });
            }
            Check::Value { at, expression, expected } => {
                let samples = expected.iter().map(|(labels, value)| Sample { labels: labels.clone(), value: *value });
                test.promql_expr_test.push(ExprTest {
                    expr: expression.clone(),
                    eval_time: at,
                    exp_samples: samples.collect(),
                });
            }
        }
    }
    test
}

/// The alert as Alertmanager gets it: the first rule that does not contradict the case's labels, completed by what the
/// case adds. `None` if no rule fits; the list is then too short, and promtool reports it.
fn rendered(rules: &[Rule], expected: &Expected) -> Option<ExpectedAlert> {
    let agrees =
        |rule: &&Rule| expected.labels.iter().all(|(name, value)| rule.labels.get(*name).is_none_or(|v| v == value));
    let rule = rules.iter().find(agrees)?;
    let mut exp_labels = rule.labels.clone();
    exp_labels.extend(expected.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut exp_annotations = rule.annotations.clone();
    exp_annotations.insert("summary".into(), expected.summary.clone());
    exp_annotations.extend(expected.description.iter().map(|text| ("description".to_owned(), text.clone())));
    Some(ExpectedAlert { exp_labels, exp_annotations })
}

#[derive(Serialize)]
struct TestFile {
    rule_files: Vec<String>,
    evaluation_interval: &'static str,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: &'static str,
    interval: &'static str,
    input_series: Vec<InputSeries>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alert_rule_test: Vec<AlertTest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    promql_expr_test: Vec<ExprTest>,
}

#[derive(Serialize)]
struct AlertTest {
    eval_time: &'static str,
    alertname: &'static str,
    exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Serialize)]
struct ExpectedAlert {
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ExprTest {
    expr: String,
    eval_time: &'static str,
    exp_samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Sample {
    labels: String,
    value: f64,
}
