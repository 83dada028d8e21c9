//! The alerts that a model has, and their durations and severities.

use std::collections::BTreeSet;

use belfry_crds::monitoring::Rule;
use belfry_render::model::ValidModel;
use belfry_render::monitoring;
use expect_test::expect;

use crate::models::valid;
use crate::promtool;

/// The model with one objective of each indicator, and these alerts.
fn with(alerts: &str) -> ValidModel {
    let model = include_str!("objectives.model.yaml");
    valid(&model.replace("    alerts:\n      profile: Full\n", &format!("    alerts: {alerts}\n")))
}

fn rules(model: &ValidModel) -> Vec<Rule> {
    monitoring::rules(model).groups.into_iter().flat_map(|group| group.rules).collect()
}

fn alerts(model: &ValidModel) -> BTreeSet<String> {
    rules(model).into_iter().filter_map(|rule| rule.alert).collect()
}

fn lines(names: BTreeSet<String>) -> String {
    names.into_iter().map(|name| name + "\n").collect()
}

#[test]
fn the_full_profile_has_every_alert_and_the_standard_one_is_the_default() {
    let about_models = |alert: &&monitoring::Alert| !alert.of_model(&crate::models::objectives()).is_empty();
    let every: BTreeSet<_> =
        monitoring::alerts().iter().filter(about_models).map(|alert| alert.name.to_owned()).collect();
    assert_eq!(alerts(&with("{profile: Full}")), every);
    assert_eq!(rules(&with("{profile: Standard}")), rules(&with("{}")));
    expect![[r#"
        InferenceAutoscalerMaxedOut
        InferenceCapacityDegraded
        InferenceConfidenceDrop
        InferenceEmptyOutputs
        InferenceGpuMemoryNearLimit
        InferenceModelLoadSlow
        InferenceNoTraffic
        InferenceUserSatisfactionLow
        InferenceWorkerRestarts
        InferenceWorkerThrottled
    "#]]
    .assert_eq(&lines(&every - &alerts(&with("{}"))));
}

#[test]
fn the_minimal_profile_is_what_callers_notice_what_would_hide_it_and_a_budget_that_was_asked_for() {
    expect![[r#"
        InferenceCostBudgetBurn
        InferenceErrorBudgetBurn
        InferenceHighErrorRate
        InferenceLatencyBudgetBurn
        InferenceModelDown
        InferenceModelLoadFailed
        InferenceModelNotLoaded
        InferenceModelOutage
        InferenceProbeFailing
        InferenceTargetsAbsent
        InferenceWorkerCrashLooping
    "#]]
    .assert_eq(&lines(alerts(&with("{profile: Minimal}"))));
}

#[test]
fn no_profile_records_objectives_and_rings_for_what_is_enabled_by_name() {
    let none = with("{profile: None}");
    assert_eq!(alerts(&none), BTreeSet::new());
    assert!(rules(&none).iter().any(|rule| rule.record.is_some()), "objectives are not recorded");
    let one = with("{profile: None, overrides: [{alert: InferenceModelDown, enabled: true}]}");
    assert_eq!(lines(alerts(&one)), "InferenceModelDown\n");
}

#[test]
fn an_exception_changes_the_alert_that_it_names_and_no_other() {
    let before = rules(&with("{}"));
    let after = rules(&with("{overrides: [{alert: InferenceQueueSaturated, for: 20m, severity: info}]}"));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.into_iter().zip(after) {
        let mut expected = before;
        if expected.alert.as_deref() == Some("InferenceQueueSaturated") {
            expected.for_ = Some("20m".into());
            expected.labels.insert("severity".into(), "info".into());
        }
        assert_eq!(after, expected);
    }
}

#[test]
fn promtool_takes_the_rules_of_every_profile() {
    let exception = "{overrides: [{alert: InferenceModelDown, for: 0s, severity: warning}]}";
    for (number, alerts) in ["{profile: None}", "{profile: Minimal}", exception].into_iter().enumerate() {
        promtool::takes(&format!("profile{number}.yaml"), &monitoring::rules(&with(alerts)));
    }
}
