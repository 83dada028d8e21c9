//! How far a pod has come.

use k8s_openapi::api::core::v1::PodStatus;

/// How far a pod has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No kubelet has looked at it yet.
    New,
    /// A kubelet has taken it.
    Taken,
    /// It has ended and comes back no more: evicted, finished, or killed with its node.
    Ended,
    /// A kubelet refused it before any container ran, in these words. It comes back no more.
    Rejected(String),
}

impl Stage {
    pub(super) fn of(status: &PodStatus) -> Self {
        match status.phase.as_deref() {
            Some("Succeeded") => Self::Ended,
            Some("Failed") => rejection(status).map_or(Self::Ended, Self::Rejected),
            _ if status.start_time.is_some() => Self::Taken,
            _ => Self::New,
        }
    }

    /// Whether it comes back no more.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended | Self::Rejected(_))
    }
}

/// The kubelet's words about a pod of which no container ever ran.
fn rejection(status: &PodStatus) -> Option<String> {
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let has_run = containers.any(|container| container.container_id.as_ref().is_some_and(|id| !id.is_empty()));
    let reason = status.reason.as_ref().filter(|_| !has_run)?;
    Some(format!("{reason}: {}", status.message.as_deref().unwrap_or("the node's kubelet says no more")))
}
