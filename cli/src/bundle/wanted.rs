//! What the operator would apply, and where the cluster differs from it.

use std::collections::BTreeMap;

use anyhow::Context;
use belfry_crds::InferenceModel;
use belfry_render::children::children;
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::settings::Settings;
use belfry_render::validate::validate_running;
use serde_json::Value;

use super::collect::{Collector, LOG_BYTES, text, yaml};
use super::difference::differences;
use super::report;

/// The label of the operator's Deployment and of its pods.
const OPERATOR: &str = "app.kubernetes.io/name=belfry-operator";

impl Collector<'_> {
    /// The operator's settings, as far as they reach a model's objects. Its log goes into the archive, as far as it is about the model.
    pub(super) fn operator(&mut self) -> Option<Settings> {
        let arguments = ["get", "deployments", "--all-namespaces", "--selector", OPERATOR];
        let deployments = self.items("the operator's Deployment", &arguments)?;
        let Some(operator) = deployments.first() else {
            let why = format!("no Deployment has the label {OPERATOR}");
            self.case.missing.push(("the operator's Deployment".to_owned(), why));
            return None;
        };
        self.keep("operator/deployment.yaml", yaml(operator));
        let namespace = text(operator, "/metadata/namespace");
        let tail = format!("--tail={}", self.lines.max(5000));
        // Of every replica: only the leader works, and it may have been another before.
        let of = [
            "logs",
            "--namespace",
            &namespace,
            "--selector",
            OPERATOR,
            "--prefix",
            "--max-log-requests=10",
            &tail,
            LOG_BYTES,
        ];
        if let Some(log) = self.text("the operator's log", &of) {
            let key = format!("{}/{}", self.case.namespace, self.case.name);
            let about: String = log.lines().filter(|line| names(line, &key)).map(|line| format!("{line}\n")).collect();
            self.keep("operator/log-about-the-model.txt", about);
        }
        let arguments = operator.pointer("/spec/template/spec/containers/0/args")?.as_array()?.iter();
        Some(settings(arguments.filter_map(Value::as_str)))
    }

    pub(super) fn compare(&mut self, live: &BTreeMap<String, Value>, settings: Option<Settings>) {
        if settings.is_none() {
            // Its addresses of runbooks and of Grafana stand in the rules.
            let why = "the operator's settings are not known".to_owned();
            self.case.missing.push(("whether the PrometheusRule is as wanted".to_owned(), why));
            self.unread.insert(ChildKind::PrometheusRule);
        }
        let wanted = wanted(&self.case.model, live, &settings.unwrap_or_default());
        let Some(wanted) = self.ask("what is wanted", wanted) else { return };
        let mut found = BTreeMap::new();
        let is_read = |name: &str| self.unread.iter().all(|kind| !name.starts_with(&format!("{}/", kind.as_str())));
        for (name, wanted) in wanted.iter().filter(|(name, _)| is_read(name)) {
            match live.get(name) {
                Some(live) => {
                    let differs = differences(wanted, live);
                    found.extend((!differs.is_empty()).then(|| (name.clone(), differs)));
                }
                None => drop(found.insert(name.clone(), vec!["it is wanted, and not there".to_owned()])),
            }
        }
        if !live.is_empty() || self.unread.is_empty() {
            self.keep("differences.txt", report::differences(&found));
            self.case.differences = Some(found);
        }
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

/// Whether a line has the name of a model, and not only of one whose name goes on.
fn names(line: &str, key: &str) -> bool {
    let goes_on = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
    line.match_indices(key).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + key.len()..].chars().next());
        !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
    })
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
    fn a_line_is_about_a_model_only_if_the_name_ends_there() {
        for line in [r#"{"model":"search/minilm","x":1}"#, "of search/minilm: gone", "search/minilm"] {
            assert!(names(line, "search/minilm"), "{line}");
        }
        for line in [r#""search/minilm2""#, "research/minilm", "search/minilm-large", "search/mini"] {
            assert!(!names(line, "search/minilm"), "{line}");
        }
    }
}
