//! What a worker pod says about itself.

use std::net::IpAddr;

use belfry_crds::condition::Reason;
use belfry_crds::contract::env;
use belfry_crds::contract::load_failure::LoadFailure;
use belfry_crds::contract::metrics::WAITING_REASONS;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, PodStatus};
use kube::ResourceExt;

use belfry_render::quantity::{GPU, amount_of};

/// The facts of one pod that conditions and fleet metrics are computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReport {
    /// Name of the pod.
    pub name: String,
    /// It answers requests.
    pub is_ready: bool,
    /// It is being deleted.
    pub is_terminating: bool,
    /// Why it does not answer, as far as the cluster knows.
    pub obstacle: Option<Obstacle>,
    /// How its container ended the last time, when that was not in order.
    pub failure: Option<ContainerFailure>,
    /// The kubelet's reason while the container waits, from the closed list of the contract.
    pub waiting: Option<&'static str>,
    /// Times that the container was restarted.
    pub restarts: i32,
    /// Where it answers; `None` before it has an address.
    pub address: Option<IpAddr>,
    /// Digest of the one model that it serves, 64 hexadecimal digits; `None` for a worker that serves any.
    pub sha256: Option<String>,
    /// The node on which it holds what it requests; `None` before it has one, and after it has ended.
    pub node: Option<String>,
    /// What its containers request.
    pub requests: PodRequests,
}

/// What a pod holds of its node, whether it uses it or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodRequests {
    /// Thousandths of a CPU.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory: u64,
    /// NVIDIA GPUs.
    pub gpus: u64,
}

impl PodRequests {
    fn of(pod: &PodSpec) -> Self {
        let sum = |name: &str, per_unit: u64| {
            let requests =
                pod.containers.iter().filter_map(|container| container.resources.as_ref()?.requests.as_ref());
            requests.filter_map(|requests| amount_of(requests.get(name)?, per_unit)).sum()
        };
        Self { cpu_millis: sum("cpu", 1000), memory: sum("memory", 1), gpus: sum(GPU, 1) }
    }
}

impl PodReport {
    /// Whether no node takes the pod.
    #[must_use]
    pub fn is_unschedulable(&self) -> bool {
        self.obstacle.as_ref().is_some_and(|obstacle| obstacle.reason == Reason::Unschedulable)
    }
}

/// Why a pod does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// A reason of the condition ModelLoaded.
    pub reason: Reason,
    /// The cluster's or the worker's own words.
    pub message: String,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFailure {
    /// A reason of the condition ModelLoaded.
    pub reason: Reason,
    /// The worker's own line, or what the kubelet knows.
    pub message: String,
    /// Exit status.
    pub exit_code: i32,
}

/// Reads a pod.
#[must_use]
pub fn report(pod: &Pod) -> PodReport {
    let status = pod.status.clone().unwrap_or_default();
    let container = current(&status);
    let failure = container.and_then(failure);
    let waiting = container.and_then(waiting);
    let is_ready = condition(&status, "Ready") == Some("True");
    let has_ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    PodReport {
        name: pod.name_any(),
        is_ready,
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
        obstacle: (!is_ready).then(|| obstacle(&status, container, failure.as_ref())).flatten(),
        failure,
        waiting: waiting.as_ref().map(|(reason, _)| known(reason)),
        restarts: container.map_or(0, |c| c.restart_count),
        address: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
        sha256: pod.spec.as_ref().and_then(sha256),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|_| !has_ended),
        requests: pod.spec.as_ref().map(PodRequests::of).unwrap_or_default(),
    }
}

/// The container whose turn it is: one that copies the model, until it is done, and then the worker.
fn current(status: &PodStatus) -> Option<&ContainerStatus> {
    let is_done = |container: &&ContainerStatus| {
        let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| ended.exit_code == 0)
    };
    let copying = status.init_container_statuses.iter().flatten().find(|container| !is_done(container));
    copying.or_else(|| status.container_statuses.iter().flatten().next())
}

fn sha256(spec: &PodSpec) -> Option<String> {
    let vars = spec.containers.iter().filter_map(|container| container.env.as_ref()).flatten();
    vars.into_iter().find(|var| var.name == env::MODEL_SHA256)?.value.clone()
}

fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a str> {
    status.conditions.iter().flatten().find(|c| c.type_ == type_).map(|c| c.status.as_str())
}

fn waiting(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.clone()?, waiting.message.clone().unwrap_or_default()))
}

fn known(reason: &str) -> &'static str {
    WAITING_REASONS.iter().copied().find(|known| *known == reason).unwrap_or("other")
}

/// The present end of the container, or else its last one.
fn failure(container: &ContainerStatus) -> Option<ContainerFailure> {
    let ended = [&container.state, &container.last_state];
    let ended = ended.into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())?;
    if ended.exit_code == 0 {
        return None;
    }
    let message = ended.message.clone().unwrap_or_default();
    let (reason, message) = match LoadFailure::parse(&message) {
        Some(failure) => (Reason::Load(failure.reason), failure.message),
        None if ended.reason.as_deref() == Some("OOMKilled") => {
            (Reason::OutOfMemoryKilled, "killed for want of memory: raise spec.resources.limits.memory".to_owned())
        }
        None => {
            let last_line = message.lines().last().unwrap_or("the worker left no message").to_owned();
            (Reason::WorkerCrashed, format!("exit status {}: {last_line}", ended.exit_code))
        }
    };
    Some(ContainerFailure { reason, message, exit_code: ended.exit_code })
}

/// The first thing that stands in the way, in the order in which a pod comes up.
fn obstacle(
    status: &PodStatus,
    container: Option<&ContainerStatus>,
    failure: Option<&ContainerFailure>,
) -> Option<Obstacle> {
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"));
    if let Some(condition) = unschedulable {
        let message = condition.message.clone().unwrap_or_else(|| "no node takes the pod".into());
        return Some(Obstacle { reason: Reason::Unschedulable, message });
    }
    let (reason, message) = container.and_then(waiting).unwrap_or_default();
    match reason.as_str() {
        "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" => {
            Some(Obstacle { reason: Reason::ImagePullFailed, message })
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Obstacle { reason: Reason::ContainerConfigInvalid, message })
        }
        // A container that is running again may yet succeed, but so far this is the best explanation.
        _ => failure.map(|f| Obstacle { reason: f.reason, message: f.message.clone() }),
    }
}
