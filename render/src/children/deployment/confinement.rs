//! Confinement of every container.

use k8s_openapi::api::core::v1::{Capabilities, SecurityContext};

/// The security context that the Pod Security level `restricted` requires of a container.
pub(super) fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Default::default() }),
        ..Default::default()
    }
}
