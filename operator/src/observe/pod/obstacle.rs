//! Why a pod does not answer.

use belfry_crds::condition::Reason;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};

use super::containers::{Containers, Foreign, is_done, waiting};
use super::failure::{ContainerFailure, Words, last_end};

/// Why a pod does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// A reason of the condition ModelLoaded.
    pub reason: Reason,
    /// The cluster's or the worker's own words.
    pub words: Words,
}

impl Obstacle {
    fn new(reason: Reason, words: impl Into<String>) -> Self {
        Self { reason, words: words.into().into() }
    }
}

/// The first thing that stands in the way, in the order in which a pod comes up.
pub(super) fn of(
    status: &PodStatus,
    containers: &Containers<'_>,
    failure: Option<&ContainerFailure>,
) -> Option<Obstacle> {
    let own = containers.own();
    unschedulable(status)
        .or_else(|| lost_node(status))
        .or_else(|| own.and_then(refused))
        .or_else(|| own.filter(|own| !own.ready).and(failure).map(ended))
        .or_else(|| own.and_then(|own| silent(status, own)))
        .or_else(|| containers.foreign().find_map(|container| beside(&container, own)))
}

fn ended(failure: &ContainerFailure) -> Obstacle {
    // A container that is running again may yet succeed, but so far this is the best explanation.
    Obstacle { reason: failure.reason, words: failure.words.clone() }
}

fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|c| c.type_ == type_)
}

pub(super) fn is_true(status: &PodStatus, type_: &str) -> bool {
    condition(status, type_).is_some_and(|condition| condition.status == "True")
}

fn unschedulable(status: &PodStatus) -> Option<Obstacle> {
    let condition = condition(status, "PodScheduled")?;
    let is_so = condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable");
    let mut words = condition.message.clone().unwrap_or_else(|| "no node takes the pod".into());
    if words.contains("ReadWriteOncePod") {
        words.push_str(
            "; set accessMode beside the claim in spec.model, so that a pod ends before its successor starts",
        );
    }
    is_so.then(|| Obstacle::new(Reason::Unschedulable, words))
}

/// The controller of nodes sets Ready to False when a kubelet is silent, and touches nothing else. A kubelet that says it
/// itself gives a reason.
fn lost_node(status: &PodStatus) -> Option<Obstacle> {
    let ready = condition(status, "Ready")?;
    let has_reason = ready.reason.as_ref().is_some_and(|reason| !reason.is_empty());
    let is_so = ready.status == "False" && !has_reason && is_true(status, "ContainersReady");
    is_so.then(|| Obstacle::new(Reason::NodeLost, "its node says nothing any more; the pod was ready when it last did"))
}

/// The kubelet can't start the container.
fn refused(container: &ContainerStatus) -> Option<Obstacle> {
    let (reason, message) = waiting(container)?;
    match reason.as_str() {
        "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" => {
            Some(Obstacle::new(Reason::ImagePullFailed, message))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Obstacle::new(Reason::ContainerConfigInvalid, message))
        }
        _ => None,
    }
}

/// A worker that was ready in its present run, and is so no more. Before the first time it loads.
fn silent(status: &PodStatus, worker: &ContainerStatus) -> Option<Obstacle> {
    let since = worker.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
    let changed = condition(status, "Ready")?.last_transition_time.as_ref()?;
    let was_ready = worker.started == Some(true) && !worker.ready && changed > since;
    let words = "the worker had its model in memory, and does not answer its readiness probe";
    was_ready.then(|| Obstacle::new(Reason::NotAnswering, words))
}

/// A container of others that is what is wrong. What it says itself is not repeated.
fn beside(container: &Foreign<'_>, own: Option<&ContainerStatus>) -> Option<Obstacle> {
    let Foreign { status, comes_first } = container;
    let name = &status.name;
    if is_done(status) {
        return None;
    }
    if let Some(Obstacle { reason, words }) = refused(status) {
        return Some(Obstacle::new(reason, format!("container {name}: {}", words.repeated(false))));
    }
    let of_others = |what: String| {
        Obstacle::new(Reason::SidecarFailed, format!("container {name}, which is not the worker's, {what}"))
    };
    if let Some(end) = last_end(status).filter(|_| !status.ready) {
        return Some(of_others(format!("ended with exit status {}: kubectl logs --previous shows why", end.exit_code)));
    }
    let is_running = status.state.as_ref().is_some_and(|state| state.running.is_some());
    if *comes_first && is_running {
        return Some(Obstacle::new(Reason::Loading, format!("the worker waits for the container {name} to end")));
    }
    let is_worker_ready = own.is_some_and(|own| own.ready);
    (is_worker_ready && is_running && !status.ready).then(|| of_others("is not ready".to_owned()))
}
