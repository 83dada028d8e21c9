//! Whether a Prometheus reads what is written for a model.

use super::*;

/// The status of a model without pods, after its children were applied.
pub(super) fn status_after(applied: Applied, selection: Selection) -> InferenceModelStatus {
    status_from(None, applied, (selection, Evaluated::NotAsked))
}

/// The same, where the previous status is known.
pub(super) fn status_from(
    previous: Option<&InferenceModelStatus>,
    applied: Applied,
    (selection, evaluated): (Selection, Evaluated),
) -> InferenceModelStatus {
    let pass = Pass::Applied { model: Box::new(model(&json!({}))), applied: Box::new(applied) };
    let scaling = ScalingFacts::default();
    let facts = Facts {
        generation: Some(1),
        pass: &pass,
        deployment: None,
        scaling: &scaling,
        pods: &[],
        selection,
        evaluated,
        identities: None,
    };
    status(&facts, previous, Timestamp::UNIX_EPOCH)
}

fn with(selection: Selection, refused: Vec<Refusal>) -> InferenceModelStatus {
    status_after(Applied { refused, ..Applied::default() }, selection)
}

#[test]
fn a_model_that_no_prometheus_selects_is_not_monitored() {
    let status = with(Selection::Missing("its ruleSelector wants release=prom".into()), vec![]);
    assert_eq!(seen(&status, ConditionType::MonitorSelected), is("False", "NotSelected"));
    assert_eq!(seen(&status, ConditionType::MonitoringReady), is("False", "NotSelected"));
}

#[test]
fn a_model_that_a_prometheus_selects_is_monitored() {
    let status = with(Selection::By("monitoring/k8s".into()), vec![]);
    assert_eq!(seen(&status, ConditionType::MonitorSelected), is("True", "Selected"));
    assert_eq!(seen(&status, ConditionType::MonitoringReady), is("True", "ObjectsApplied"));
}

#[test]
fn where_another_program_reads_the_objects_nothing_is_claimed() {
    let status = with(Selection::Unknown, vec![]);
    assert_eq!(seen(&status, ConditionType::MonitorSelected), is("Unknown", "PrometheusUnknown"));
    assert_eq!(seen(&status, ConditionType::MonitoringReady), is("True", "ObjectsApplied"));
}

#[test]
fn where_the_kinds_are_missing_there_is_nothing_to_select() {
    let refusal = Refusal { role: Role::Monitor, name: "m".into(), cause: RefusalCause::KindMissing };
    let status = with(Selection::Unknown, vec![refusal]);
    assert!(find(&status.conditions, ConditionType::MonitorSelected).is_none());
}
