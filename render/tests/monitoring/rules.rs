//! Rules: golden files, and properties of every rule.

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::contract::metric::Exporter;
use belfry_crds::monitoring::{PrometheusRuleSpec, Rule, RuleGroup};
use belfry_render::monitoring;
use belfry_render::monitoring::alert::AlertRules;
use expect_test::expect_file;

use crate::models;
use crate::promql::{self, Sources};

fn yaml(spec: &PrometheusRuleSpec) -> String {
    format!("# Generated from render/src/monitoring.\n{}", serde_yaml::to_string(spec).unwrap())
}

fn all_specs() -> [PrometheusRuleSpec; 4] {
    [
        monitoring::rules(&models::small()),
        monitoring::rules(&models::objectives()),
        monitoring::operator_rules(),
        monitoring::watchdog_rules(),
    ]
}

fn all_rules() -> Vec<Rule> {
    all_specs().into_iter().flat_map(|spec| spec.groups).flat_map(|group| group.rules).collect()
}

#[test]
fn rules_are_as_they_were_reviewed() {
    expect_file!["small.rules.yaml"].assert_eq(&yaml(&monitoring::rules(&models::small())));
    // One file for the alerts on objectives and one for the others, because the tests of an alert are given no more than it needs.
    let [group] = <[_; 1]>::try_from(monitoring::rules(&models::objectives()).groups).expect("one group");
    let part = |belongs: fn(&Rule) -> bool| {
        let rules = group.rules.iter().filter(|rule| belongs(rule)).cloned().collect();
        yaml(&PrometheusRuleSpec { groups: vec![RuleGroup { rules, ..group.clone() }] })
    };
    expect_file!["alerts.rules.yaml"].assert_eq(&part(|rule| !is_about_an_objective(rule)));
    expect_file!["objectives.rules.yaml"].assert_eq(&part(|rule| is_about_an_objective(rule) || rule.record.is_some()));
}

fn is_about_an_objective(rule: &Rule) -> bool {
    rule.labels.contains_key("slo") || rule.record.as_ref().is_some_and(|record| record.starts_with("slo:"))
}

#[test]
fn the_chart_carries_the_rules_about_the_operator() {
    expect_file!["../../../charts/belfry/files/operator-rules.yaml"].assert_eq(&yaml(&monitoring::operator_rules()));
    expect_file!["../../../charts/belfry/files/watchdog-rules.yaml"].assert_eq(&yaml(&monitoring::watchdog_rules()));
    for names in monitoring::names() {
        let file = format!("../../../charts/belfry/files/names/{}.yaml", names.id);
        expect_file![file].assert_eq(&yaml(&names.spec()));
    }
}

#[test]
fn every_expression_reads_only_series_that_exist() {
    let sources = Sources::contract().prometheus().recorded(all_rules().iter().filter_map(|rule| rule.record.clone()));
    for rule in all_rules().into_iter().chain(monitoring::names().into_iter().flat_map(|names| names.rules)) {
        promql::check(&rule.expr, &sources);
    }
}

#[test]
fn every_group_is_evaluated_as_often_as_the_model_is_scraped() {
    for interval in ["5s", "10s", "15s"] {
        let yaml = include_str!("objectives.model.yaml")
            .replace("    monitor:\n", &format!("    monitor:\n      interval: {interval}\n"));
        let spec = monitoring::rules(&models::valid(&yaml));
        assert!(spec.groups.iter().all(|group| group.interval.as_deref() == Some(interval)), "{interval}");
    }
}

#[test]
fn names_of_groups_and_rules_are_unique() {
    for spec in all_specs() {
        let mut groups = BTreeSet::new();
        let mut rules = BTreeSet::new();
        for group in &spec.groups {
            assert!(groups.insert(&group.name), "group {} is there twice", group.name);
            for rule in &group.rules {
                assert!(rules.insert((&rule.record, &rule.alert, &rule.labels)), "{rule:?} is there twice");
            }
        }
    }
}

#[test]
fn every_alert_names_its_model_and_says_what_to_do() {
    for model in [models::small(), models::objectives()] {
        for rule in monitoring::rules(&model).groups.iter().flat_map(|group| &group.rules) {
            if rule.alert.is_some() {
                assert_eq!(rule.labels["namespace"], model.namespace, "{rule:?}");
                assert_eq!(rule.labels["model"], model.name, "{rule:?}");
                assert!(
                    rule.annotations["summary"].starts_with(&format!("{}/{}: ", model.namespace, model.name)),
                    "{rule:?}"
                );
                assert_eq!(rule.labels.get("team"), model.monitoring.team.as_ref(), "{rule:?}");
                assert_eq!(rule.annotations.get("contact"), model.monitoring.contact.as_ref(), "{rule:?}");
            }
        }
    }
    for rule in all_rules().iter().filter(|rule| rule.alert.is_some()) {
        for label in ["severity", "component", "category"] {
            assert!(rule.labels.contains_key(label), "{label} is missing: {rule:?}");
        }
        for annotation in ["summary", "impact", "runbook_url"] {
            assert!(rule.annotations.contains_key(annotation), "{annotation} is missing: {rule:?}");
        }
    }
}

/// A value in a label would make a new alert at each evaluation; a number without its unit has no meaning.
#[test]
fn templates_read_labels_and_humanized_values_only() {
    for rule in all_rules() {
        for (name, text) in rule.labels.iter().chain(&rule.annotations) {
            for template in text.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim()) {
                let label =
                    template.strip_prefix("$labels.").is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase()));
                let human = ["$value | humanize", "$value | humanizeDuration", "$value | humanizePercentage"];
                let value = human.contains(&template);
                // Two pairs of windows stand in one rule, and a text goes by the pair.
                let pair = template.starts_with("if eq $labels.long \"") || matches!(template, "else" | "end");
                let annotates = rule.annotations.contains_key(name);
                assert!(label || (annotates && (value || pair)), "{name}: {template}");
            }
        }
    }
}

#[test]
fn every_alert_of_the_table_has_rules_of_its_severities_and_only_the_table_makes_alerts() {
    let mut severities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in all_rules() {
        if let Some(alert) = rule.alert {
            severities.entry(alert).or_default().insert(rule.labels["severity"].clone());
        }
    }
    for alert in monitoring::alerts() {
        let documented: BTreeSet<_> = alert.severities.iter().map(|s| s.as_str().to_owned()).collect();
        assert_eq!(severities.remove(alert.name), Some(documented), "{}", alert.name);
    }
    assert!(severities.is_empty(), "{severities:?}");
}

#[test]
fn rules_about_the_operator_read_only_its_own_series() {
    let sources = Sources::of(Exporter::Operator).and(Exporter::OperatorAboutModels).prometheus();
    for rule in monitoring::operator_rules().groups.iter().flat_map(|group| &group.rules) {
        promql::check(&rule.expr, &sources);
        assert!(rule.expr.contains(r#"job="belfry-operator""#), "{}", rule.expr);
    }
    assert!(monitoring::alerts().iter().any(|alert| matches!(alert.rules, AlertRules::Operator(_))));
}

#[test]
fn a_contact_that_looks_like_a_template_is_text() {
    let mut model = models::objectives();
    model.monitoring.contact = Some("{{ $value }}".into());
    for rule in
        monitoring::rules(&model).groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.alert.is_some())
    {
        assert_eq!(rule.annotations["contact"], r#"{{ "{{" }} $value }}"#);
    }
}

/// An alert that reads no series of its own model would fire for every model.
#[test]
fn every_selector_of_a_model_names_it() {
    let model = models::objectives();
    for rule in monitoring::rules(&model).groups.iter().flat_map(|group| &group.rules) {
        for selector in promql::selectors(&rule.expr) {
            let label =
                |name: &str| selector.matchers.matchers.iter().find(|m| m.name == name).map(|m| m.value.clone());
            // Whether the operator is away is no matter of the model.
            if label("job").as_deref() == Some("belfry-operator") {
                assert_eq!(selector.name.as_deref(), Some("up"), "{}", rule.expr);
                continue;
            }
            assert_eq!(label("namespace").as_deref(), Some("search"), "{}", rule.expr);
            assert_eq!(label("model").as_deref(), Some("minilm"), "{}", rule.expr);
        }
    }
}
