//! Why the API server said no, in a word.
//!
//! A `Status` names its cause only in its message. The phrases below are those of the API server itself, and have been the
//! same for many releases; what none of them fits is `ApplyFailed`, with the message in full.

use belfry_crds::condition::Reason;

use crate::apply::RefusalCause;

/// The reason of a refused child.
pub(super) fn reason(cause: &RefusalCause) -> Reason {
    match cause {
        RefusalCause::NameConflict => Reason::NameConflict,
        RefusalCause::KindMissing => Reason::CustomResourceDefinitionMissing,
        RefusalCause::Api { code, message } => of_message(message).unwrap_or(match code {
            409 if message.contains("conflict with") => Reason::FieldConflict,
            403 if message.contains("cannot ") => Reason::Forbidden,
            _ => Reason::ApplyFailed,
        }),
    }
}

/// Quota or admission, whether it speaks of a child or of the pods that a controller could not make.
pub(super) fn of_message(message: &str) -> Option<Reason> {
    const ADMISSION: &[&str] = &[
        "admission webhook",
        "failed calling webhook",
        "violates PodSecurity",
        "ValidatingAdmissionPolicy",
        "denied request",
        "denied the request",
    ];
    if message.contains("exceeded quota") || message.contains("failed quota") {
        return Some(Reason::QuotaExceeded);
    }
    ADMISSION.iter().any(|phrase| message.contains(phrase)).then_some(Reason::AdmissionRefused)
}

/// What to do about a refusal, as the end of a sentence; empty where the message says it.
pub(super) fn cure(reason: Reason) -> &'static str {
    match reason {
        Reason::QuotaExceeded => ": raise the quota of the namespace, or ask for less",
        Reason::FieldConflict => ": let one of the two managers go",
        Reason::Forbidden => ": install the chart's roles of this version",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Reason {
        reason(&RefusalCause::Api { code, message: message.into() })
    }

    #[test]
    fn each_way_of_refusing_has_its_own_reason() {
        for (code, message, expected) in [
            (
                403,
                "services \"minilm\" is forbidden: exceeded quota: few, requested: services=1, used: services=1, limited: services=1",
                Reason::QuotaExceeded,
            ),
            (
                403,
                "pods \"a\" is forbidden: failed quota: q: must specify limits.cpu for: worker",
                Reason::QuotaExceeded,
            ),
            (
                403,
                "admission webhook \"policy.example.com\" denied the request: no images from there",
                Reason::AdmissionRefused,
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"policy.example.com\": failed to call webhook: Post \"https://policy\"",
                Reason::AdmissionRefused,
            ),
            (
                422,
                "deployments.apps \"minilm\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'all' denied request: no owner",
                Reason::AdmissionRefused,
            ),
            (
                403,
                "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile",
                Reason::AdmissionRefused,
            ),
            (
                409,
                "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas",
                Reason::FieldConflict,
            ),
            (
                403,
                "services is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource \"services\"",
                Reason::Forbidden,
            ),
            (422, "Service \"minilm\" is invalid: spec.clusterIPs[0]: Invalid value", Reason::ApplyFailed),
        ] {
            assert_eq!(refused(code, message), expected, "{message}");
        }
    }
}
