//! Asks the cluster for everything about one model.

use std::collections::BTreeMap;

use anyhow::Context;
use belfry_crds::InferenceModel;
use belfry_crds::contract::status::STATUS_PATH;
use belfry_crds::contract::{METRICS_PATH, MODEL_LABEL, PORT};
use belfry_render::children::children;
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::settings::Settings;
use belfry_render::validate::validate_running;
use serde_json::Value;

use super::difference::differences;
use super::{redact, report};
use crate::alertmanagers;
use crate::kubectl::Kubectl;

/// Most pods of which logs and metrics are taken.
const PODS: usize = 10;

/// What is known of a model.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) model: Value,
    pub(super) pods: Vec<Value>,
    pub(super) events: Vec<Value>,
    /// Alerts of the model that fire; `None` where no Alertmanager could be asked.
    pub(super) alerts: Option<Vec<Value>>,
    /// What is not as it is wanted, by object; `None` where that is not known.
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
    let mut collector = Collector { kubectl, case, lines };
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

struct Collector<'a> {
    kubectl: &'a Kubectl,
    case: Case,
    lines: u32,
}

impl Collector<'_> {
    fn keep(&mut self, path: impl Into<String>, text: String) {
        self.case.files.insert(path.into(), text);
    }

    /// What kubectl prints, or a note of why it does not.
    fn ask<T>(&mut self, what: &str, answer: anyhow::Result<T>) -> Option<T> {
        answer.map_err(|error| self.case.missing.push((what.to_owned(), format!("{error:#}")))).ok()
    }

    fn items(&mut self, what: &str, arguments: &[&str]) -> Vec<Value> {
        let answer = self.kubectl.json(arguments);
        match self.ask(what, answer).map(|mut list| list["items"].take()) {
            Some(Value::Array(items)) => items,
            _ => vec![],
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
            for object in self.items(kind.as_str(), &arguments) {
                let name = format!("{}/{}", kind.as_str(), text(&object, "/metadata/name"));
                self.keep(format!("objects/{}.yaml", name.replace('/', "-")), yaml(&object));
                live.insert(name, object);
            }
            if kind.is_optional() {
                self.case.missing.truncate_where(known, |why| why.contains("doesn't have a resource type"));
            }
        }
        live
    }

    /// The operator's settings, as far as they reach a model's objects. Its log goes into the archive, as far as it is about the model.
    fn operator(&mut self) -> Option<Settings> {
        let selector =
            ["get", "deployments", "--all-namespaces", "--selector", "app.kubernetes.io/name=belfry-operator"];
        let deployments = self.items("the operator's Deployment", &selector);
        let Some(operator) = deployments.first() else {
            if self.case.missing.iter().all(|(what, _)| what != "the operator's Deployment") {
                let why = "no Deployment has the label app.kubernetes.io/name=belfry-operator".to_owned();
                self.case.missing.push(("the operator's Deployment".to_owned(), why));
            }
            return None;
        };
        self.keep("operator/deployment.yaml", yaml(operator));
        let (namespace, name) = (text(operator, "/metadata/namespace"), text(operator, "/metadata/name"));
        let (of, tail) = (format!("deployment/{name}"), format!("--tail={}", self.lines.max(5000)));
        let log = self.kubectl.run(&["logs", &of, "--namespace", &namespace, &tail]);
        if let Some(log) = self.ask("the operator's log", log) {
            let key = format!("{}/{}", self.case.namespace, self.case.name);
            let log = String::from_utf8_lossy(&log).into_owned();
            let about: String =
                log.lines().filter(|line| line.contains(&key)).map(|line| format!("{line}\n")).collect();
            self.keep("operator/log-about-the-model.txt", about);
        }
        let arguments = operator.pointer("/spec/template/spec/containers/0/args")?.as_array()?.iter();
        Some(settings(arguments.filter_map(Value::as_str)))
    }

    fn compare(&mut self, live: &BTreeMap<String, Value>, settings: Option<Settings>) {
        let wanted = wanted(&self.case.model, live, &settings.unwrap_or_default());
        let Some(wanted) = self.ask("what is wanted", wanted) else { return };
        let mut found = BTreeMap::new();
        for (name, wanted) in &wanted {
            match live.get(name) {
                Some(live) => {
                    let differs = differences(wanted, live);
                    found.extend((!differs.is_empty()).then(|| (name.clone(), differs)));
                }
                None => drop(found.insert(name.clone(), vec!["it is wanted, and not there".to_owned()])),
            }
        }
        self.keep("differences.txt", report::differences(&found));
        self.case.differences = Some(found);
    }

    fn pods(&mut self) {
        let (namespace, selector) = (self.case.namespace.clone(), format!("{MODEL_LABEL}={}", self.case.name));
        let pods = self.items("pods", &["get", "pods", "--namespace", &namespace, "--selector", &selector]);
        for pod in pods.iter().take(PODS) {
            let name = text(pod, "/metadata/name");
            self.keep(format!("pods/{name}/pod.yaml"), yaml(pod));
            self.logs(pod, &name);
            if text(pod, "/status/phase") == "Running" {
                self.worker(&name);
            }
        }
        if pods.len() > PODS {
            let why = format!("there are {}, and logs of {PODS} are here", pods.len());
            self.case.missing.push(("logs of every pod".to_owned(), why));
        }
        self.case.pods = pods;
    }

    fn logs(&mut self, pod: &Value, name: &str) {
        let (namespace, tail) = (self.case.namespace.clone(), format!("--tail={}", self.lines));
        let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let containers = statuses.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
        for container in containers {
            let of = text(container, "/name");
            let base = ["logs", name, "--namespace", &namespace, "--container", &of, &tail, "--timestamps"];
            let is_started =
                container["state"].get("waiting").is_none() || container["restartCount"].as_u64() > Some(0);
            if is_started {
                let log = self.kubectl.run(&base);
                if let Some(log) = self.ask(&format!("the log of {name}, {of}"), log) {
                    self.keep(format!("pods/{name}/{of}.log"), String::from_utf8_lossy(&log).into_owned());
                }
            }
            if container["restartCount"].as_u64() > Some(0) {
                let log = self.kubectl.run(&[&base[..], &["--previous"]].concat());
                if let Some(log) = self.ask(&format!("the log of {name}, {of}, before its restart"), log) {
                    self.keep(format!("pods/{name}/{of}.previous.log"), String::from_utf8_lossy(&log).into_owned());
                }
            }
        }
    }

    /// Metrics and live status of a worker, by the API server's proxy.
    fn worker(&mut self, pod: &str) {
        for (path, file) in [(METRICS_PATH, "metrics.txt"), (STATUS_PATH, "status.json")] {
            let url = format!("/api/v1/namespaces/{}/pods/http:{pod}:{PORT}/proxy{path}", self.case.namespace);
            let answer = self.kubectl.run(&["get", "--raw", &url, "--request-timeout=10s"]);
            if let Some(answer) = self.ask(&format!("{path} of {pod}"), answer) {
                self.keep(format!("pods/{pod}/{file}"), String::from_utf8_lossy(&answer).into_owned());
            }
        }
    }

    fn events(&mut self, live: &BTreeMap<String, Value>) {
        let namespace = self.case.namespace.clone();
        let all = self.items("events", &["get", "events", "--namespace", &namespace]);
        // ReplicaSets and pods of the model have its name, and more behind it.
        let (own, more) = (self.case.name.clone(), format!("{}-", self.case.name));
        let pods: Vec<_> = self.case.pods.iter().map(|pod| text(pod, "/metadata/name")).collect();
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
        let labels = [("namespace", self.case.namespace.as_str()), ("model", &self.case.name)];
        let answers = alertmanagers::alerts(self.kubectl, &labels);
        self.case.missing.extend(answers.missing);
        if let Some(alerts) = answers.alerts {
            self.keep("alerts.yaml", yaml(&Value::from(alerts.clone())));
            self.case.alerts = Some(alerts);
        }
    }
}

/// Notes that say nothing to a reader are taken out again.
trait Notes {
    fn truncate_where(&mut self, from: usize, is_none: impl Fn(&str) -> bool);
}

impl Notes for Vec<(String, String)> {
    fn truncate_where(&mut self, from: usize, is_none: impl Fn(&str) -> bool) {
        let new = self.split_off(from);
        self.extend(new.into_iter().filter(|(_, why)| !is_none(why)));
    }
}

/// The operator's flags that reach a model's objects.
fn settings<'a>(arguments: impl Iterator<Item = &'a str>) -> Settings {
    let mut settings = Settings::default();
    for (flag, value) in arguments.filter_map(|argument| argument.split_once('=')) {
        match flag {
            "--worker-image" => settings.worker_image = value.to_owned(),
            "--runbook-base-url" => settings.runbook_base_url = value.to_owned(),
            "--grafana-url" => settings.grafana_url = Some(value.to_owned()),
            _ => {}
        }
    }
    settings
}

/// What the operator would apply for the model as it is, by kind and name.
fn wanted(
    model: &Value,
    live: &BTreeMap<String, Value>,
    settings: &Settings,
) -> anyhow::Result<BTreeMap<String, Value>> {
    let model: InferenceModel = serde_json::from_value(model.clone()).context("the model can't be decoded")?;
    let name = model.metadata.name.clone().unwrap_or_default();
    let deployment = live.get(&format!("{}/{name}", ChildKind::Deployment.as_str()));
    let deployed = deployment.and_then(|object| Some(Deployed::of(&serde_json::from_value(object.clone()).ok()?)));
    let valid = validate_running(&model, deployed.as_ref(), settings);
    let valid = valid.map_err(|problems| crate::render::refused(&name, &problems))?;
    let mut wanted = BTreeMap::new();
    for child in children(&valid)? {
        let Some(object) = &child.object else { continue };
        wanted.insert(format!("{}/{}", child.kind().as_str(), child.name), serde_json::to_value(object)?);
    }
    Ok(wanted)
}

/// A text in an object; empty where there is none.
pub(super) fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An object without its secrets.
fn yaml(value: &Value) -> String {
    let mut value = value.clone();
    redact::object(&mut value);
    serde_yaml::to_string(&value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_an_operator_are_read_from_its_flags() {
        let flags = ["--json-logs", "--worker-image=w:2", "--grafana-url=https://g/?a=b", "--listen=x"];
        let read = settings(flags.into_iter());
        assert_eq!((read.worker_image.as_str(), read.grafana_url.as_deref()), ("w:2", Some("https://g/?a=b")));
        assert_eq!(read.runbook_base_url, Settings::default().runbook_base_url);
    }

    #[test]
    fn only_notes_that_say_nothing_are_taken_out() {
        let note = |what: &str, why: &str| (what.to_owned(), why.to_owned());
        let mut notes = vec![note("a", "doesn't matter"), note("b", "doesn't matter"), note("c", "forbidden")];
        notes.truncate_where(1, |why| why.starts_with("doesn't"));
        assert_eq!(notes, [note("a", "doesn't matter"), note("c", "forbidden")]);
    }
}
