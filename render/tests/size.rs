//! What the monitoring of a model weighs. The Prometheus Operator packs all rules that a Prometheus selects into ConfigMaps of half a
//! megabyte, and restarts Prometheus when their number changes, so that rules that grow cost every user.
//!
//! `cargo test -p belfry-render --test size -- --nocapture` prints the table of docs/limits.md.

#![allow(clippy::unwrap_used, reason = "what is missing here fails the test")]
#![allow(clippy::print_stdout, reason = "the figures are what people look for")]

mod support;

use belfry_crds::InferenceModel;
use belfry_crds::inference_model::{Device, Task};
use belfry_render::children::{dashboard::dashboard, prometheus_rule::prometheus_rule};
use serde_json::json;

use support::{sample, samples, valid};

/// Most bytes of a PrometheusRule, as `belfry render` prints it, and as JSON.
const RULES: usize = 26_000;

/// Most bytes that each objective adds to it.
const OBJECTIVE: usize = 6_500;

/// Most bytes that the alerts about GPUs add to those of a model on GPUs.
const GPUS: usize = 4_000;

/// Most bytes of a dashboard without objectives, as Grafana reads it.
const DASHBOARD: usize = 24_000;

/// Most bytes that each objective adds to it.
const PANELS: usize = 3_100;

/// Bytes of a model's rules and of its dashboard.
struct Weight {
    name: String,
    objectives: usize,
    yaml: usize,
    json: usize,
    dashboard: usize,
}

fn weight(name: &str, model: &InferenceModel) -> Weight {
    let model = valid(model);
    let rules = prometheus_rule(&model);
    let dashboard = dashboard(&model).and_then(|it| it.data).unwrap_or_default();
    let weight = Weight {
        name: name.into(),
        objectives: model.monitoring.objectives.len(),
        yaml: serde_yaml::to_string(&rules).unwrap().len(),
        json: serde_json::to_string(&rules).unwrap().len(),
        dashboard: dashboard.values().map(String::len).sum(),
    };
    let Weight { objectives, yaml, json, dashboard, .. } = weight;
    println!("{name:20} {objectives} objectives  {yaml:6} YAML  {json:6} JSON  {dashboard:6} dashboard");
    weight
}

/// The smallest sample with a name and a namespace of these lengths, and with these objectives.
fn named(namespace: usize, name: usize, objectives: usize) -> InferenceModel {
    let mut model = sample("minimal");
    model.metadata.namespace = Some("n".repeat(namespace));
    model.metadata.name = Some("m".repeat(name));
    let of = |indicator: &str| json!({"name": indicator.to_lowercase(), "indicator": indicator, "objective": "99.9"});
    let mut latency = of("Latency");
    latency["threshold"] = json!("250ms");
    let all = [of("Availability"), latency];
    let mut spec = serde_json::to_value(&model.spec).unwrap();
    spec["observability"] = json!({"slos": all[..objectives]});
    model.spec = serde_json::from_value(spec).unwrap();
    model
}

/// Whether its dashboard has the row about quality.
fn has_quality(model: &InferenceModel) -> bool {
    let model = valid(model);
    model.baseline.is_some() || matches!(model.task, Task::Rerank | Task::Classification)
}

/// Most bytes of the row of a dashboard about quality.
const QUALITY: usize = 3_000;

#[test]
fn rules_and_dashboard_of_every_sample_are_small() {
    for (name, model) in samples() {
        let Weight { name, objectives, yaml, json, dashboard } = weight(&name, &model);
        let gpus = if valid(&model).runtime.device == Device::Cuda { GPUS } else { 0 };
        let most = RULES + objectives * OBJECTIVE + gpus;
        assert!(yaml.max(json) <= most, "the rules of {name} have {yaml} bytes, {json} as JSON, and may have {most}");
        let has_quality = has_quality(&model);
        let most = DASHBOARD + objectives * PANELS + if has_quality { QUALITY } else { 0 };
        assert!(dashboard <= most, "the dashboard of {name} has {dashboard} bytes, and may have {most}");
    }
}

#[test]
fn each_objective_adds_little() {
    let [none, one, two] = [0, 1, 2].map(|objectives| weight("short names", &named(9, 12, objectives)));
    for (less, more) in [(&none, &one), (&one, &two)] {
        let added = more.yaml - less.yaml;
        assert!(added <= OBJECTIVE, "objective {} adds {added} bytes, and may add {OBJECTIVE}", more.objectives);
    }
}

/// A namespace has at most 63 characters, and a model 40.
/// Most bytes where names are as long as they may be.
const LONGEST: usize = 42_000;
const LONGEST_OBJECTIVE: usize = 8_200;

#[test]
fn the_longest_names_are_bounded_too() {
    let [none, two] = [0, 2].map(|objectives| weight("the longest names", &named(63, 40, objectives)));
    assert!(none.yaml <= LONGEST, "{} {}", none.name, none.yaml);
    assert!(two.yaml <= LONGEST + 2 * LONGEST_OBJECTIVE && two.json <= LONGEST + 2 * LONGEST_OBJECTIVE, "{}", two.yaml);
    // They stand in the title, the description, two variables and the list of alerts.
    assert!(two.dashboard <= DASHBOARD + 2 * PANELS + 1_000, "{}", two.dashboard);
}
