//! Cases that prove an alert → a file for `promtool test rules`.
//!
//! Time starts at 0 and moves in steps of [`STEP`], which is the interval of the scrapes and of the
//! evaluations. What an alert must look like is completed from its rule, so that a case says only
//! what the fault adds: labels of the series, and the two texts as a person will read them.

use std::collections::BTreeMap;

use belfry_crds::monitoring::Rule;
use serde::Serialize;

use super::alert::Alert;
use crate::model::ValidModel;

/// Scrape and evaluation interval of every case.
pub const STEP: &str = "15s";

/// A story of some series, and what the alert does at some moments.
#[derive(Clone, Debug)]
pub struct Case {
    name: &'static str,
    series: Vec<InputSeries>,
    checks: Vec<Check>,
}

#[derive(Clone, Debug)]
enum Check {
    Alerts { at: &'static str, expected: Vec<Expected> },
    Value { at: &'static str, expression: String, expected: Option<(String, f64)> },
}

/// An alert that must fire.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Labels that the series bring, or that tell the rules of one alert apart.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) summary: String,
    pub(super) description: String,
}

impl Case {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, series: vec![], checks: vec![] }
    }

    /// A series, from time 0 on.
    pub(super) fn with(mut self, series: impl Into<String>, values: impl Into<String>) -> Self {
        self.series.push(InputSeries { series: series.into(), values: values.into() });
        self
    }

    /// Nothing fires then.
    pub(super) fn quiet(self, at: &'static str) -> Self {
        self.fires(at, &[])
    }

    /// Exactly these fire then.
    pub(super) fn fires(mut self, at: &'static str, expected: &[Expected]) -> Self {
        self.checks.push(Check::Alerts { at, expected: expected.to_vec() });
        self
    }

    /// An expression has this value then, or none.
    pub(super) fn value(
        mut self,
        at: &'static str,
        expression: impl Into<String>,
        expected: Option<(&str, f64)>,
    ) -> Self {
        let expected = expected.map(|(labels, value)| (labels.to_owned(), value));
        self.checks.push(Check::Value { at, expression: expression.into(), expected });
        self
    }
}

/// Values that stay for some steps each. The value `_` is a scrape that never was, `stale` a series
/// that ends. promtool counts the repetitions of a value, but every `_`.
pub(super) fn hold(parts: &[(&str, u32)]) -> String {
    let part = |(value, steps): &(&str, u32)| match (*value, *steps) {
        (value, 1) => value.to_owned(),
        ("_", steps) => format!("_x{steps}"),
        (value, steps) => format!("{value}x{}", steps - 1),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// A counter that grows by so much in a step, for some steps each.
pub(super) fn grow(parts: &[(u32, u32)]) -> String {
    let mut value = 0;
    let mut values = vec![];
    for (growth, steps) in parts {
        values.push(format!("{value}+{growth}x{}", steps - 1));
        value += growth * steps;
    }
    values.join(" ")
}

/// The test file of an alert; `rule_file` is the path of its rules, from the test file.
///
/// # Errors
/// The YAML library's, which texts and maps do not cause.
pub fn file(alert: &Alert, model: &ValidModel, rule_file: &str) -> Result<String, serde_yaml::Error> {
    let rules: Vec<_> = alert.of_model(model).into_iter().chain(alert.of_operator()).collect();
    let tests = (alert.cases)(model).iter().map(|case| test(alert, &rules, case)).collect();
    let file = TestFile { rule_files: vec![rule_file.into()], evaluation_interval: STEP, tests };
    Ok(format!(
        "# Generated from render/src/monitoring/cases; run it with `promtool test rules`.\n{}",
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

/// The alert as Alertmanager gets it: the first rule that has none of these labels with another value, and what
/// the case adds. No such rule leaves the list short, and promtool says so.
fn rendered(rules: &[Rule], expected: &Expected) -> Option<ExpectedAlert> {
    let agrees =
        |rule: &&Rule| expected.labels.iter().all(|(name, value)| rule.labels.get(*name).is_none_or(|v| v == value));
    let rule = rules.iter().find(agrees)?;
    let mut exp_labels = rule.labels.clone();
    exp_labels.extend(expected.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut exp_annotations = rule.annotations.clone();
    exp_annotations.insert("summary".into(), expected.summary.clone());
    exp_annotations.insert("description".into(), expected.description.clone());
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

#[derive(Clone, Debug, Serialize)]
struct InputSeries {
    series: String,
    values: String,
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
