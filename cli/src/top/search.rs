//! Which workers of a cluster are watched, and how they are found and reached.

use anyhow::Context;
use belfry_crds::contract::{MODEL_LABEL, PORT, env};
use belfry_render::children::metadata::{Component, MANAGER};
use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use serde::Deserialize;

use super::link::Trouble;
use super::tunnel::Tunnel;
use crate::kubectl::Kubectl;

/// Namespaces to look in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The one that kubectl takes without being asked.
    Default,
    Namespace(String),
    All,
}

/// Which workers are wanted.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) kubectl: Kubectl,
    pub(super) scope: Scope,
    /// Names of models; empty for every model.
    pub(super) models: Vec<String>,
}

/// The pod of a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Name of the InferenceModel.
    pub(super) model: String,
}

#[derive(Deserialize)]
struct Pods {
    items: Vec<KubernetesPod>,
}

impl Search {
    /// The workers that run, by namespace and name.
    pub(super) fn workers(&self) -> anyhow::Result<Vec<Pod>> {
        let component = Component::Worker.as_str();
        let selector = format!("app.kubernetes.io/managed-by={MANAGER},app.kubernetes.io/component={component}");
        let mut arguments = vec!["get", "pods", "--selector", &selector];
        match &self.scope {
            Scope::Default => {}
            Scope::Namespace(name) => arguments.extend(["--namespace", name]),
            Scope::All => arguments.push("--all-namespaces"),
        }
        let pods = Pods::deserialize(self.kubectl.json(&arguments)?).context("kubectl printed no list of pods")?;
        let mut workers: Vec<_> = pods.items.iter().filter_map(worker).collect();
        workers.retain(|worker| self.models.is_empty() || self.models.contains(&worker.model));
        workers.sort();
        Ok(workers)
    }

    /// What to say when there is none.
    pub(super) fn none(&self) -> String {
        let models = if self.models.is_empty() { String::new() } else { format!(" for {}", self.models.join(", ")) };
        let place = match &self.scope {
            Scope::Default => "in the namespace of kubectl's context; -n names another, and -A looks in all".to_owned(),
            Scope::Namespace(name) => format!("in namespace {name}; -A looks in all"),
            Scope::All => "in any namespace".to_owned(),
        };
        format!("no worker of Belfry{models} runs {place}")
    }

    /// Opens a way to a worker: a port of this machine.
    pub(super) fn forward(&self, pod: &Pod) -> Result<(Tunnel, u16), Trouble> {
        let mut command = self.kubectl.command();
        command.args([
            "port-forward",
            "--namespace",
            &pod.namespace,
            "--address=127.0.0.1",
            "--pod-running-timeout=5s",
        ]);
        command.args([format!("pod/{}", pod.name), format!(":{PORT}")]);
        Tunnel::open(command).map_err(|words| Trouble::Passing(format!("kubectl port-forward: {words}")))
    }
}

/// A pod that runs a worker of Belfry and is not on its way out. Other engines have no live status.
fn worker(pod: &KubernetesPod) -> Option<Pod> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut variables = containers.iter().flat_map(|container| container.env.iter().flatten());
    let is_running = pod.status.as_ref()?.phase.as_deref() == Some("Running");
    if !is_running || pod.metadata.deletion_timestamp.is_some() || !variables.any(|var| var.name == env::SERVED_NAME) {
        return None;
    }
    let model = pod.metadata.labels.as_ref()?.get(MODEL_LABEL)?.clone();
    Some(Pod { namespace: pod.metadata.namespace.clone()?, name: pod.metadata.name.clone()?, model })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(phase: &str, variable: &str, more: &Value) -> Option<Pod> {
        let mut metadata = json!({"name": "minilm-1", "namespace": "search", "labels": {"belfry.dev/model": "minilm"}});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let containers = json!([{"name": "worker", "env": [{"name": variable, "value": "x"}]}, {"name": "sidecar"}]);
        let object = json!({"metadata": metadata, "spec": {"containers": containers}, "status": {"phase": phase}});
        worker(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_worker_is_a_running_pod_of_our_own_engine() {
        let expected = Pod { namespace: "search".into(), name: "minilm-1".into(), model: "minilm".into() };
        assert_eq!(pod("Running", "BELFRY_SERVED_NAME", &json!({})), Some(expected));
        assert_eq!(pod("Pending", "BELFRY_SERVED_NAME", &json!({})), None);
        assert_eq!(pod("Running", "HF_HOME", &json!({})), None, "another engine");
        let ending = json!({"deletionTimestamp": "2026-01-02T03:04:05Z"});
        assert_eq!(pod("Running", "BELFRY_SERVED_NAME", &ending), None);
        assert_eq!(pod("Running", "BELFRY_SERVED_NAME", &json!({"labels": {}})), None);
    }
}
