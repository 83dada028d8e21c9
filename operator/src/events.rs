//! Kubernetes events, on transitions of conditions and at no other time.

use belfry_crds::InferenceModelStatus;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason, find};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

/// Conditions whose transitions are worth an event.
const REPORTED: &[ConditionType] = &[
    ConditionType::SpecAccepted,
    ConditionType::ModelLoaded,
    ConditionType::Ready,
    ConditionType::ScalingReady,
    ConditionType::MonitoringReady,
    ConditionType::Reconciled,
];

/// Reasons that every start passes through; an event for each would be noise.
const QUIET: &[Reason] = &[
    Reason::Loading,
    Reason::Pending,
    Reason::RollingOut,
    Reason::ReplicasUnavailable,
    Reason::Valid,
    Reason::MetricsMissing,
    Reason::ScalerActive,
];

/// The events of a change from one status to the next.
#[must_use]
pub fn transitions(previous: Option<&InferenceModelStatus>, next: &InferenceModelStatus) -> Vec<Event> {
    let old = previous.map(|p| p.conditions.as_slice()).unwrap_or_default();
    let changed = |type_: &ConditionType| {
        let now = find(&next.conditions, *type_)?;
        let before = find(old, *type_);
        let same = before.is_some_and(|b| (&b.status, &b.reason) == (&now.status, &now.reason));
        (!same && is_worth_an_event(*type_, now, before)).then(|| event(*type_, now))
    };
    REPORTED.iter().filter_map(changed).collect()
}

fn is_worth_an_event(type_: ConditionType, now: &Condition, before: Option<&Condition>) -> bool {
    if QUIET.iter().any(|reason| reason.as_str() == now.reason) || now.status == ConditionStatus::Unknown.as_str() {
        return false;
    }
    let is_true = |c: &Condition| c.status == ConditionStatus::True.as_str();
    // What is as it should be from the beginning is no transition.
    if before.is_none() && is_true(now) {
        return false;
    }
    // What keeps a model from being ready stands in another condition, which has an event already.
    type_ != ConditionType::Ready || is_true(now) || before.is_some_and(is_true)
}

fn event(type_: ConditionType, condition: &Condition) -> Event {
    let good = condition.status == ConditionStatus::True.as_str();
    Event {
        type_: if good { EventType::Normal } else { EventType::Warning },
        reason: condition.reason.clone(),
        note: Some(format!("{}: {}", type_.as_str(), condition.message)),
        action: "Reconcile".into(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn status(conditions: &[(ConditionType, &str, &str)]) -> InferenceModelStatus {
        let condition = |(type_, status, reason): &(ConditionType, &str, &str)| Condition {
            type_: type_.as_str().into(),
            status: (*status).into(),
            reason: (*reason).into(),
            message: "m".into(),
            observed_generation: None,
            last_transition_time: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
        };
        InferenceModelStatus { conditions: conditions.iter().map(condition).collect(), ..Default::default() }
    }

    fn reasons(before: &InferenceModelStatus, after: &InferenceModelStatus) -> Vec<String> {
        transitions(Some(before), after).into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn an_unchanged_status_makes_no_event() {
        let same = status(&[(ConditionType::Ready, "True", "Serving")]);
        assert!(reasons(&same, &same).is_empty());
    }

    #[test]
    fn a_new_model_has_events_only_about_what_is_wrong() {
        let new = InferenceModelStatus::default();
        let good = status(&[(ConditionType::MonitoringReady, "True", "Applied")]);
        let bad = status(&[(ConditionType::MonitoringReady, "False", "KindMissing")]);
        assert!(reasons(&new, &good).is_empty());
        assert_eq!(reasons(&new, &bad), ["KindMissing"]);
        assert_eq!(reasons(&bad, &good), ["Applied"]);
    }

    #[test]
    fn a_failed_load_makes_one_event_with_its_reason() {
        let loading =
            status(&[(ConditionType::Ready, "False", "Loading"), (ConditionType::ModelLoaded, "False", "Loading")]);
        let failed = status(&[
            (ConditionType::Ready, "False", "FileMissing"),
            (ConditionType::ModelLoaded, "False", "FileMissing"),
        ]);
        assert_eq!(reasons(&loading, &failed), ["FileMissing"]);
        assert!(reasons(&failed, &loading).is_empty());
    }

    #[test]
    fn a_model_that_becomes_ready_and_one_that_ceases_to_be_make_events() {
        let ready = status(&[(ConditionType::Ready, "True", "Serving")]);
        let broken = status(&[(ConditionType::Ready, "False", "NoReplicaReady")]);
        assert_eq!(reasons(&broken, &ready), ["Serving"]);
        assert_eq!(reasons(&ready, &broken), ["NoReplicaReady"]);
    }
}
