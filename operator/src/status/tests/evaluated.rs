//! What a Prometheus says of a model's rules and targets.

use super::selected::status_from;
use super::*;
use crate::evaluation::{Report, Rules, Targets};

fn after(previous: Option<&InferenceModelStatus>, evaluated: Evaluated) -> InferenceModelStatus {
    status_from(previous, Applied::default(), (Selection::By("monitoring/k8s".into()), evaluated))
}

fn said(rules: Rules, targets: Targets) -> Evaluated {
    Evaluated::Said(Report { rules, targets })
}

const TYPES: [ConditionType; 3] =
    [ConditionType::RulesEvaluating, ConditionType::TargetsUp, ConditionType::MonitoringReady];

fn all(status: &InferenceModelStatus) -> [(String, String); 3] {
    TYPES.map(|type_| seen(status, type_))
}

#[test]
fn a_model_whose_rules_are_evaluated_and_whose_workers_are_scraped_is_monitored() {
    let good = after(None, said(Rules::Evaluated(20), Targets::Up(2)));
    assert_eq!(all(&good), [is("True", "RulesEvaluated"), is("True", "TargetsScraped"), is("True", "ObjectsApplied")]);
}

#[test]
fn rules_that_are_not_loaded_are_named_and_the_model_is_not_monitored() {
    let status = after(None, said(Rules::Missing(vec!["inference.search.minilm.alerts".into()]), Targets::Up(2)));
    let not = is("False", "RulesNotLoaded");
    assert_eq!(all(&status), [not.clone(), is("True", "TargetsScraped"), not]);
    let message = &find(&status.conditions, ConditionType::MonitoringReady).unwrap().message;
    assert!(message.contains("inference.search.minilm.alerts"), "{message}");
}

#[test]
fn rules_that_were_not_evaluated_yet_are_neither_good_nor_a_fault() {
    let status = after(None, said(Rules::Waiting, Targets::Up(2)));
    assert_eq!(all(&status), [is("Unknown", "Pending"), is("True", "TargetsScraped"), is("True", "ObjectsApplied")]);
}

#[test]
fn a_rule_that_fails_is_named_with_the_words_of_prometheus() {
    let failing = Rules::Failing { rule: "InferenceModelDown".into(), error: "many-to-many".into() };
    let status = after(None, said(failing, Targets::NoPods));
    let failing = is("False", "RuleFailing");
    assert_eq!(all(&status), [failing.clone(), is("Unknown", "NoReplicaReady"), failing]);
    let message = &find(&status.conditions, ConditionType::RulesEvaluating).unwrap().message;
    assert_eq!(message, "the evaluation of InferenceModelDown fails: many-to-many");
}

#[test]
fn workers_that_prometheus_does_not_know_are_a_fault_of_monitoring_and_those_that_are_down_are_not() {
    let missing = after(None, said(Rules::Evaluated(20), Targets::Missing));
    assert_eq!(all(&missing)[1..], [is("False", "TargetsMissing"), is("False", "TargetsMissing")]);
    let down = after(None, said(Rules::Evaluated(20), Targets::Down { down: 1, all: 3 }));
    assert_eq!(all(&down)[1..], [is("False", "TargetsDown"), is("True", "ObjectsApplied")]);
}

#[test]
fn until_prometheus_has_answered_what_was_said_stays() {
    assert_eq!(all(&after(None, Evaluated::Awaited))[..2], [is("Unknown", "Pending"), is("Unknown", "Pending")]);
    let bad = after(None, said(Rules::Missing(vec!["g".into()]), Targets::Missing));
    assert_eq!(after(Some(&bad), Evaluated::Awaited), bad);
}

#[test]
fn a_prometheus_that_can_not_be_read_leaves_open_what_is_evaluated() {
    let status = after(None, Evaluated::Unreadable("http://prometheus:9090 gave no answer that can be read".into()));
    let unreadable = is("Unknown", "PrometheusUnreadable");
    assert_eq!(all(&status), [unreadable.clone(), unreadable, is("True", "ObjectsApplied")]);
}

#[test]
fn where_no_prometheus_is_named_there_are_no_such_conditions() {
    let status = after(None, Evaluated::NotAsked);
    for type_ in &TYPES[..2] {
        assert_eq!(find(&status.conditions, *type_), None);
    }
}
