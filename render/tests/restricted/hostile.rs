//! Texts of users in rules, dashboards, labels and arguments.

use std::collections::BTreeSet;
use std::process::Command;

use belfry_crds::monitoring::{PrometheusRuleSpec, Rule};
use belfry_render::children::alertmanager_config::alertmanager_config;
use belfry_render::children::dashboard::dashboard;
use belfry_render::children::deployment::deployment;
use belfry_render::engine::coverage::selectors;
use belfry_render::model::ValidModel;
use belfry_render::monitoring;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use promql_parser::parser;
use serde_json::Value;

use crate::generate::Generator;
use crate::support::objects;
use crate::tool::program;

/// Models whose objects are all built; a dashboard is some 60 kB of JSON.
const CASES: usize = 300;

fn models() -> impl Iterator<Item = (u64, ValidModel)> {
    let generator = Generator::new();
    crate::seeds(CASES * 20)
        .filter_map(move |seed| Some((seed, validate(&generator.model(seed), &Settings::default()).ok()?)))
        .take(CASES)
}

fn rules(spec: &PrometheusRuleSpec) -> impl Iterator<Item = &Rule> {
    spec.groups.iter().flat_map(|group| &group.rules)
}

#[test]
fn every_expression_parses_and_reads_nothing_of_another_model() {
    for (seed, model) in models() {
        for rule in rules(&monitoring::rules(&model)) {
            let tree = parser::parse(&rule.expr).unwrap_or_else(|e| panic!("seed {seed}: {}: {e}", rule.expr));
            for selector in selectors(&tree) {
                let value = |name: &str| {
                    let mut named = selector.matchers.matchers.iter().filter(|m| m.name == name);
                    named.next().map(|m| m.value.clone())
                };
                // Whether the operator is away is no matter of a model.
                if selector.name.as_deref() == Some("up") && value("job").as_deref() == Some("belfry-operator") {
                    continue;
                }
                assert_eq!(value("namespace").as_deref(), Some("search"), "seed {seed}: {}", rule.expr);
                assert_eq!(value("model").as_deref(), Some("drawn"), "seed {seed}: {}", rule.expr);
            }
        }
    }
}

/// Prometheus expands labels and annotations as Go templates: only ours may be there, and they read nothing but the
/// alert's own labels and value.
#[test]
fn no_text_of_a_user_becomes_a_template() {
    for (seed, model) in models() {
        for rule in rules(&monitoring::rules(&model)) {
            for text in rule.labels.values().chain(rule.annotations.values()) {
                for part in text.split("{{").skip(1) {
                    let template = part.split("}}").next().unwrap().trim();
                    let by_pair =
                        ["if eq $labels.long \"1h\"", "if eq $labels.long \"1d\"", "else", "end"].contains(&template);
                    let is_ours =
                        template.starts_with("$labels.") || template.starts_with("$value | humanize") || by_pair;
                    // The escape of two braces is a template that prints them.
                    assert!(is_ours || template.starts_with('"'), "seed {seed}: {text}");
                }
            }
        }
    }
}

/// Alertmanager expands its messages as templates too: only the templates of the sample may occur.
#[test]
fn no_text_of_a_user_becomes_a_template_of_a_page() {
    fn templates(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            // Names of Secrets are looked up and not expanded.
            Value::Object(map) if map.keys().eq(["key", "name"]) => {}
            Value::Object(map) => map.values().for_each(|value| templates(value, found)),
            Value::Array(list) => list.iter().for_each(|value| templates(value, found)),
            Value::String(text) if text.contains("{{") => drop(found.insert(text.clone())),
            _ => {}
        }
    }
    let of = |model: &ValidModel| {
        let mut found = BTreeSet::new();
        let spec = alertmanager_config(model).map(|object| serde_json::to_value(object.spec).unwrap());
        templates(&spec.unwrap_or_default(), &mut found);
        found
    };
    let known = of(&crate::support::valid(&crate::support::sample("paging")));
    let mut paged = 0;
    for (seed, model) in models() {
        let found = of(&model);
        paged += usize::from(!found.is_empty());
        let new: Vec<_> = found.difference(&known).collect();
        assert!(new.is_empty(), "seed {seed}: {new:?}");
    }
    assert!(paged > 0 || std::env::var("BELFRY_SEED").is_ok(), "no model with a receiver was drawn");
}

#[test]
fn every_dashboard_is_json_of_the_same_shape() {
    fn shape(path: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| shape(&format!("{path}.{key}"), value, found)),
            Value::Array(list) => list.iter().for_each(|value| shape(&format!("{path}[]"), value, found)),
            _ => {
                found.insert(path.to_owned());
            }
        }
    }
    let mut known = BTreeSet::new();
    // Two objectives show every row that there is.
    for sample in ["full", "minimal", "vllm", "engine"] {
        shape("", &monitoring::dashboard(&crate::support::valid(&crate::support::sample(sample))), &mut known);
    }
    for (seed, model) in models() {
        let Some(dashboard) = dashboard(&model) else { continue };
        for text in dashboard.data.unwrap().values() {
            let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let mut found = BTreeSet::new();
            shape("", &json, &mut found);
            let new: Vec<_> = found.difference(&known).collect();
            assert!(new.is_empty(), "seed {seed}: a text became a part of the dashboard: {new:?}");
        }
    }
}

/// Ours win over a user's, whatever the API server let through: selectors and the operator's cache rest on them.
#[test]
fn no_label_of_a_user_takes_the_place_of_ours() {
    for (seed, model) in models() {
        for child in objects(&model) {
            let Some(object) = child.object else { continue };
            let labels = object.metadata.labels.unwrap();
            assert_eq!(labels["belfry.dev/model"], "drawn", "seed {seed}");
            assert_eq!(labels["app.kubernetes.io/instance"], "drawn", "seed {seed}");
            let template = &object.data["spec"]["template"]["metadata"]["labels"];
            assert!(template.is_null() || template["app.kubernetes.io/instance"] == "drawn", "seed {seed}");
        }
    }
}

/// Arguments are words, and no shell ever reads them.
#[test]
fn no_argument_goes_through_a_shell() {
    for (seed, model) in models() {
        let deployment = serde_json::to_value(deployment(&model)).unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let words = |field: &str| container[field].as_array().cloned().unwrap_or_default();
        let given: Vec<_> = model.engine.iter().flat_map(|engine| engine.command.clone()).collect();
        if given.is_empty() {
            assert!(words("command").iter().all(|word| *word != "sh" && *word != "/bin/sh"), "seed {seed}");
        } else {
            assert_eq!(words("command"), given, "seed {seed}");
        }
        let extra = model.engine.as_ref().map_or(&model.pod_template.extra_args, |engine| &engine.args);
        let tail: Vec<_> = words("args").into_iter().rev().take(extra.len()).rev().collect();
        assert_eq!(tail, *extra, "seed {seed}: an argument was changed");
    }
}

/// The real Prometheus on some of these models.
#[test]
fn promtool_takes_the_rules_of_hostile_models() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-rules");
    std::fs::create_dir_all(&folder).unwrap();
    let files: Vec<_> = models()
        .take(40)
        .map(|(seed, model)| {
            let file = folder.join(format!("{seed}.yaml"));
            std::fs::write(&file, serde_yaml::to_string(&monitoring::rules(&model)).unwrap()).unwrap();
            file
        })
        .collect();
    let output = Command::new(program("promtool")).args(["check", "rules"]).args(&files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}
