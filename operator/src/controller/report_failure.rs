//! A pass that breaks off again and again says so in the status, and with that in an event.

use belfry_crds::InferenceModelStatus;
use belfry_crds::condition::{ConditionStatus, ConditionType, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use tracing::debug;

use super::{Context, Error, write_status};
use crate::apply;
use crate::client::message;
use crate::observe::ModelKey;

/// Failures in a row before one is reported that the API server caused. A conflict is over with the next pass, and a short
/// outage would cost a write and an event for each model, just when the API server comes back.
const PATIENCE: u32 = 3;

/// Whether the failure that follows so many others is to be reported.
pub(super) const fn is_due(error: &Error, failures_before: u32) -> bool {
    match error {
        Error::Timeout | Error::Panic | Error::Apply(apply::Error::Json(_)) => true,
        Error::Api(_) | Error::Apply(apply::Error::Api(_)) => failures_before + 1 >= PATIENCE,
    }
}

/// Writes the condition. The next pass that ends removes it again, because every condition is computed from scratch.
pub(super) async fn report_failure(key: &ModelKey, error: &Error, context: &Context) {
    let Some(observed) = context.cache.observed(key) else { return };
    let before = observed.model.status.clone().unwrap_or_default();
    let next = with_failure(before, &message(error), observed.model.metadata.generation, Timestamp::now());
    // Most failures mean that no write succeeds. The log has the error in any case.
    if let Err(error) = write_status::write(&observed.model, next, context).await {
        debug!(model = %key, %error, "Could not report a failed pass");
    }
}

fn with_failure(
    mut status: InferenceModelStatus,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> InferenceModelStatus {
    let type_ = ConditionType::Reconciled.as_str();
    if status.conditions.iter().any(|condition| condition.type_ == type_) {
        // It is reported. Another message would be another write with each attempt.
        return status;
    }
    status.conditions.push(Condition {
        type_: type_.into(),
        status: ConditionStatus::False.as_str().into(),
        reason: Reason::ReconcileFailed.as_str().into(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: Time(now),
    });
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::MOST_CHARACTERS;
    use crate::events::transitions;

    #[test]
    fn a_fault_of_the_operator_is_reported_at_once_and_what_the_api_server_causes_when_it_lasts() {
        assert!(is_due(&Error::Panic, 0));
        let refused = Error::Api(kube::Error::Service("no route".into()));
        assert!(!is_due(&refused, 0) && !is_due(&refused, 1));
        assert!(is_due(&refused, 2));
    }

    #[test]
    fn a_failure_is_one_condition_and_one_event_however_often_it_comes() {
        let before = InferenceModelStatus::default();
        let first = with_failure(before.clone(), &message(&Error::Timeout), Some(3), Timestamp::UNIX_EPOCH);
        let events = transitions(Some(&before), &first);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].reason, "ReconcileFailed");
        assert!(events[0].note.as_ref().is_some_and(|note| note.contains("took longer than 60 s")));
        let second = with_failure(first.clone(), "another", Some(3), Timestamp::now());
        assert_eq!(first, second);
    }

    #[test]
    fn a_message_has_its_causes_and_a_bound() {
        let error = Error::Api(kube::Error::Service("x\n".repeat(600).into()));
        let line = message(&error);
        assert!(line.starts_with("the API server did not take a request: "), "{line}");
        assert!(!line.contains('\n') && line.chars().count() <= MOST_CHARACTERS);
    }
}
