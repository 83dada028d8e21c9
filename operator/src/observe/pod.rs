//! What a worker pod says about itself.

mod containers;
mod failure;
mod obstacle;
mod stage;

use std::net::IpAddr;
use std::sync::Arc;

use belfry_crds::condition::Reason;
use belfry_crds::contract::{METRICS_PORT_NAME, env};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt;

use super::texts::share;
use belfry_render::deployed::WORKER;
use belfry_render::quantity::{GPU, amount_of};

use containers::Containers;
pub use failure::{ContainerFailure, Words};
pub use obstacle::Obstacle;
pub use stage::Stage;

/// The facts of one pod that conditions and fleet metrics are computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReport {
    /// Name of the pod.
    pub name: String,
    /// How far it has come.
    pub stage: Stage,
    /// It answers requests.
    pub is_ready: bool,
    /// It is being deleted.
    pub is_terminating: bool,
    /// Why it does not answer, as far as the cluster knows. A pod that has ended has none.
    pub obstacle: Option<Obstacle>,
    /// How the worker's container ended the last time, when that was not in order.
    pub failure: Option<ContainerFailure>,
    /// The kubelet's reason while a container waits, from the closed list of the contract.
    pub waiting: Option<&'static str>,
    /// Times that the worker's container was restarted.
    pub restarts: i32,
    /// Where it answers; `None` before it has an address.
    pub address: Option<IpAddr>,
    /// Port of its metrics, where they have one of their own.
    pub metrics_port: Option<u16>,
    /// Image of the worker's container.
    pub image: Arc<str>,
    /// Digest of the one model that it serves, 64 hexadecimal digits; `None` for a worker that serves any.
    pub sha256: Option<String>,
    /// The node on which it holds what it requests; `None` before it has one, and after it has ended.
    pub node: Option<Arc<str>>,
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

    /// Whether it is one of the pods that the Deployment counts on: neither ended nor on its way out.
    #[must_use]
    pub fn is_here_to_stay(&self) -> bool {
        !self.is_terminating && !self.stage.has_ended()
    }
}

#[cfg(test)]
impl PodReport {
    /// A pod that answers requests, for tests.
    pub(crate) fn ready(name: &str) -> Self {
        Self {
            name: name.into(),
            stage: Stage::Taken,
            is_ready: true,
            is_terminating: false,
            obstacle: None,
            failure: None,
            waiting: None,
            restarts: 0,
            address: None,
            metrics_port: None,
            image: Arc::default(),
            sha256: None,
            node: None,
            requests: PodRequests::default(),
        }
    }
}

/// Reads a pod.
#[must_use]
pub fn report(pod: &Pod) -> PodReport {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let containers = Containers::of(&spec, &status);
    let stage = Stage::of(&status);
    let is_ready = obstacle::is_true(&status, "Ready") && !stage.has_ended();
    let failure = containers.own().and_then(|container| failure::of(container, containers.speaks_our_language()));
    let is_in_question = !is_ready && !stage.has_ended();
    PodReport {
        name: pod.name_any(),
        is_ready,
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
        obstacle: is_in_question.then(|| obstacle::of(&status, &containers, failure.as_ref())).flatten(),
        failure,
        waiting: containers.waiting().filter(|_| !stage.has_ended()),
        restarts: containers.own().map_or(0, |container| container.restart_count),
        address: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
        metrics_port: worker(&spec).and_then(metrics_port),
        image: share(worker(&spec).and_then(|worker| worker.image.as_deref()).unwrap_or_default()),
        sha256: worker(&spec).and_then(sha256),
        node: spec.node_name.as_deref().filter(|_| !stage.has_ended()).map(share),
        requests: PodRequests::of(&spec),
        stage,
    }
}

fn worker(spec: &PodSpec) -> Option<&Container> {
    spec.containers.iter().find(|container| container.name == WORKER)
}

fn metrics_port(worker: &Container) -> Option<u16> {
    let named = worker.ports.iter().flatten().find(|port| port.name.as_deref() == Some(METRICS_PORT_NAME));
    named?.container_port.try_into().ok()
}

fn sha256(worker: &Container) -> Option<String> {
    worker.env.iter().flatten().find(|var| var.name == env::MODEL_SHA256)?.value.clone()
}

#[cfg(test)]
mod tests;
