//! Asks the cluster for everything about one model.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use belfry_crds::contract::status::STATUS_PATH;
use belfry_crds::contract::{METRICS_PATH, METRICS_PORT_NAME, MODEL_LABEL, PORT};
use belfry_render::deployed::WORKER;
use belfry_render::kind::ChildKind;
use serde_json::Value;

use super::{redact, report};
use crate::alertmanagers;
use crate::kubectl::Kubectl;

/// Most pods of which logs and metrics are taken.
const PODS: usize = 10;

/// Most bytes of one log.
pub(super) const LOG_BYTES: &str = "--limit-bytes=10000000";

/// After so many calls without an answer, no more are made.
const MOST_TIMEOUTS: usize = 2;

/// What is known of a model.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) model: Value,
    /// `None` where they could not be read.
    pub(super) pods: Option<Vec<Value>>,
    pub(super) events: Vec<Value>,
    /// Alerts of the model that fire; `None` where no Alertmanager could be asked.
    pub(super) alerts: Option<Vec<Value>>,
    /// What is not as it is wanted, by object, of those that could be read; `None` where nothing of that is known.
    pub(super) differences: Option<BTreeMap<String, Vec<String>>>,
    /// Texts by their path in the archive.
    pub(super) files: BTreeMap<String, String>,
    /// What could not be had, and why.
    pub(super) missing: Vec<(String, String)>,
}

/// Collects it. Fails only where there is no such model, or no cluster.
pub(super) fn collect(kubectl: &Kubectl, name: &str, namespace: Option<&str>, lines: u32) -> anyhow::Result<Case> {
    let mut arguments = vec!["get", "inferencemodels.belfry.dev", name];
    arguments.extend(namespace.iter().flat_map(|namespace| ["--namespace", namespace]));
    let model = kubectl.json(&arguments)?;
    let text = |pointer: &str| model.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let namespace = text("/metadata/namespace").context("the model has no namespace")?;
    let case = Case { namespace, name: text("/metadata/name").unwrap_or_default(), model, ..Case::default() };
    let mut collector = Collector { kubectl, case, lines, unread: BTreeSet::new(), timeouts: 0 };
    let live = collector.children();
    let settings = collector.operator();
    collector.compare(&live, settings);
    collector.pods();
    collector.events(&live);
    collector.alerts();
    let Collector { mut case, .. } = collector;
    case.files.insert("model.yaml".to_owned(), yaml(&case.model));
    Ok(case)
}

pub(super) struct Collector<'a> {
    kubectl: &'a Kubectl,
    pub(super) case: Case,
    pub(super) lines: u32,
    /// Kinds of which objects could not be read.
    pub(super) unread: BTreeSet<ChildKind>,
    timeouts: usize,
}

impl Collector<'_> {
    /// What kubectl says, unless the API server has stopped to answer.
    fn call<T>(&mut self, ask: impl FnOnce(&Kubectl) -> anyhow::Result<T>) -> anyhow::Result<T> {
        if self.timeouts >= MOST_TIMEOUTS {
            bail!("not asked: there were {MOST_TIMEOUTS} calls without an answer");
        }
        let answer = ask(self.kubectl);
        let is_timeout = |error: &anyhow::Error| {
            ["no answer within", "timeout", "timed out"].iter().any(|word| error.to_string().contains(word))
        };
        self.timeouts += usize::from(answer.as_ref().is_err_and(is_timeout));
        answer
    }

    /// A text that kubectl prints, or a note of why it does not.
    pub(super) fn text(&mut self, what: &str, arguments: &[&str]) -> Option<String> {
        let answer = self.call(|kubectl| kubectl.run(arguments));
        self.ask(what, answer).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    pub(super) fn keep(&mut self, path: impl Into<String>, text: String) {
        self.case.files.insert(path.into(), text);
    }

    /// An answer, or a note of why there is none.
    pub(super) fn ask<T>(&mut self, what: &str, answer: anyhow::Result<T>) -> Option<T> {
        answer.map_err(|error| self.case.missing.push((what.to_owned(), format!("{error:#}")))).ok()
    }

    /// The items of a list; `None` where it could not be had.
    pub(super) fn items(&mut self, what: &str, arguments: &[&str]) -> Option<Vec<Value>> {
        let list = self.call(|kubectl| kubectl.json(arguments));
        match self.ask(what, list)?["items"].take() {
            Value::Array(items) => Some(items),
            _ => Some(vec![]),
        }
    }

    /// The objects that the operator made, by kind and name.
    fn children(&mut self) -> BTreeMap<String, Value> {
        let (namespace, selector) = (self.case.namespace.clone(), format!("{MODEL_LABEL}={}", self.case.name));
        let mut live = BTreeMap::new();
        for kind in ChildKind::ALL {
            let resource = kind.api_resource();
            let resource = format!("{}.{}", resource.plural, resource.group).trim_end_matches('.').to_owned();
            let arguments = ["get", &resource, "--namespace", &namespace, "--selector", &selector];
            // A cluster need not know every kind.
            let known = self.case.missing.len();
            let found = self.items(kind.as_str(), &arguments);
            if found.is_none() {
                self.unread.insert(*kind);
            }
            for object in found.into_iter().flatten() {
                let name = format!("{}/{}", kind.as_str(), text(&object, "/metadata/name"));
                self.keep(format!("objects/{}.yaml", name.replace('/', "-")), yaml(&object));
                live.insert(name, object);
            }
            if kind.is_optional() {
                forget(&mut self.case.missing, known, |why| why.contains("doesn't have a resource type"));
            }
        }
        live
    }

    fn pods(&mut self) {
        let (namespace, selector) = (self.case.namespace.clone(), format!("{MODEL_LABEL}={}", self.case.name));
        let pods = self.items("pods", &["get", "pods", "--namespace", &namespace, "--selector", &selector]);
        let Some(pods) = pods else { return };
        for pod in pods.iter().take(PODS) {
            let name = text(pod, "/metadata/name");
            self.keep(format!("pods/{name}/pod.yaml"), yaml(pod));
            self.logs(pod, &name);
            if text(pod, "/status/phase") == "Running" {
                self.worker(pod, &name);
            }
        }
        if pods.len() > PODS {
            let why = format!("there are {}, and logs of {PODS} are here", pods.len());
            self.case.missing.push(("logs of every pod".to_owned(), why));
        }
        self.case.pods = Some(pods);
    }

    fn logs(&mut self, pod: &Value, name: &str) {
        let (namespace, tail) = (self.case.namespace.clone(), format!("--tail={}", self.lines));
        let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let containers = statuses.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
        for container in containers {
            let of = text(container, "/name");
            let base = ["logs", name, "--namespace", &namespace, "--container", &of, &tail, LOG_BYTES, "--timestamps"];
            let is_started =
                container["state"].get("waiting").is_none() || container["restartCount"].as_u64() > Some(0);
            if is_started && let Some(log) = self.text(&format!("the log of {name}, {of}"), &base) {
                self.keep(format!("pods/{name}/{of}.log"), log);
            }
            if container["restartCount"].as_u64() > Some(0) {
                let what = format!("the log of {name}, {of}, before its restart");
                if let Some(log) = self.text(&what, &[&base[..], &["--previous"]].concat()) {
                    self.keep(format!("pods/{name}/{of}.previous.log"), log);
                }
            }
        }
    }

    /// Metrics and live status of a worker, by the API server's proxy.
    fn worker(&mut self, pod: &Value, name: &str) {
        let metrics = metrics_port(pod).unwrap_or(PORT.into());
        for (path, port, file) in [(METRICS_PATH, metrics, "metrics.txt"), (STATUS_PATH, PORT.into(), "status.json")] {
            let url = format!("/api/v1/namespaces/{}/pods/http:{name}:{port}/proxy{path}", self.case.namespace);
            if let Some(answer) =
                self.text(&format!("{path} of {name}"), &["get", "--raw", &url, "--request-timeout=10s"])
            {
                self.keep(format!("pods/{name}/{file}"), answer);
            }
        }
    }

    fn events(&mut self, live: &BTreeMap<String, Value>) {
        let namespace = self.case.namespace.clone();
        let Some(all) = self.items("events", &["get", "events", "--namespace", &namespace]) else { return };
        // ReplicaSets and pods of the model have its name, and more behind it.
        let (own, more) = (self.case.name.clone(), format!("{}-", self.case.name));
        let pods = self.case.pods.iter().flatten();
        let pods: Vec<_> = pods.map(|pod| text(pod, "/metadata/name")).collect();
        let is_about = |event: &Value| {
            let (kind, name) = (text(event, "/involvedObject/kind"), text(event, "/involvedObject/name"));
            let is_child = live.contains_key(&format!("{kind}/{name}")) || pods.contains(&name);
            is_child || (kind == "InferenceModel" && name == own) || (kind == "ReplicaSet" && name.starts_with(&more))
        };
        let mut events: Vec<_> = all.into_iter().filter(is_about).collect();
        events.sort_by_key(report::time);
        let lines = events.iter().map(|event| report::event(event) + "\n").collect();
        self.keep("events.txt", lines);
        self.case.events = events;
    }

    fn alerts(&mut self) {
        if self.timeouts >= MOST_TIMEOUTS {
            return;
        }
        let labels = [("namespace", self.case.namespace.as_str()), ("model", &self.case.name)];
        let answers = alertmanagers::alerts(self.kubectl, &labels);
        self.case.missing.extend(answers.missing);
        if let Some(alerts) = answers.alerts {
            self.keep("alerts.yaml", yaml(&Value::from(alerts.clone())));
            self.case.alerts = Some(alerts);
        }
    }
}

/// Takes new notes out again that say nothing to a reader.
fn forget(notes: &mut Vec<(String, String)>, from: usize, is_nothing: impl Fn(&str) -> bool) {
    let new = notes.split_off(from);
    notes.extend(new.into_iter().filter(|(_, why)| !is_nothing(why)));
}

/// The port of a pod's metrics, where they have one of their own.
fn metrics_port(pod: &Value) -> Option<i64> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let worker = containers.into_iter().flatten().find(|container| container["name"] == WORKER)?;
    worker["ports"].as_array()?.iter().find(|port| port["name"] == METRICS_PORT_NAME)?["containerPort"].as_i64()
}

/// A text in an object; empty where there is none.
pub(super) fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An object without its secrets.
pub(super) fn yaml(value: &Value) -> String {
    let value = redact::cleaned(value);
    serde_yaml::to_string(&value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_at_the_port_that_the_pod_names() {
        let pod = |ports: Value| serde_json::json!({"spec": {"containers": [{"name": "sidecar"}, {"name": "worker", "ports": ports}]}});
        let http = serde_json::json!({"name": "http", "containerPort": 8080});
        let metrics = serde_json::json!({"name": "metrics", "containerPort": 9090});
        assert_eq!(metrics_port(&pod(serde_json::json!([http, metrics]))), Some(9090));
        assert_eq!(metrics_port(&pod(serde_json::json!([http]))), None);
        assert_eq!(metrics_port(&Value::Null), None);
    }

    #[test]
    fn only_notes_that_say_nothing_are_taken_out() {
        let note = |what: &str, why: &str| (what.to_owned(), why.to_owned());
        let mut notes = vec![note("a", "doesn't matter"), note("b", "doesn't matter"), note("c", "forbidden")];
        forget(&mut notes, 1, |why| why.starts_with("doesn't"));
        assert_eq!(notes, [note("a", "doesn't matter"), note("c", "forbidden")]);
    }
}
