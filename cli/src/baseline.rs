//! `belfry baseline`: the texts of a model's last hour, as the ConfigMap that its workers then compare with.

use anyhow::{Context, bail};
use belfry_crds::contract::quality::{Captured, FEWEST_TEXTS, QUALITY_PATH};
use belfry_crds::contract::{MODEL_LABEL, PORT};
use belfry_render::monitoring::runbook_pages::is_name;
use serde_json::{Value, json};

use crate::children;
use crate::kubectl::Kubectl;

/// Key of the ConfigMap.
const KEY: &str = "baseline.json";

/// Which model, and what is printed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the InferenceModel.
    model: String,

    /// Namespace of the model. Default: that of kubectl's context.
    #[arg(short, long)]
    namespace: Option<String>,

    /// Context of kubectl's configuration.
    #[arg(long)]
    context: Option<String>,

    /// Name of the ConfigMap. Default: MODEL-baseline.
    #[arg(long, value_name = "NAME")]
    config_map: Option<String>,
}

/// Adds up what the workers counted, and returns a ConfigMap as YAML.
pub(crate) fn baseline(args: &Args) -> anyhow::Result<String> {
    let config_map = args.config_map.clone().unwrap_or_else(|| format!("{}-baseline", args.model));
    for name in [Some(&args.model), args.namespace.as_ref(), Some(&config_map)].into_iter().flatten() {
        if !is_name(name) {
            bail!("{name:?} is no name of an object of Kubernetes");
        }
    }
    // Whatever way this ends, no kubectl goes on alone.
    let _end = children::EndAll;
    let kubectl = Kubectl::new(args.context.clone());
    let selector = format!("{MODEL_LABEL}={}", args.model);
    let mut arguments = vec!["get", "pods", "--selector", &selector, "--field-selector", "status.phase=Running"];
    arguments.extend(args.namespace.iter().flat_map(|namespace| ["--namespace", namespace]));
    let pods = kubectl.json(&arguments)?;
    let text = |pod: &Value, pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = vec![];
    let mut namespace = String::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let name = text(pod, "/metadata/name");
        namespace = text(pod, "/metadata/namespace");
        let url = format!("/api/v1/namespaces/{namespace}/pods/http:{name}:{PORT}/proxy{QUALITY_PATH}");
        let answer = kubectl.run(&["get", "--raw", &url, "--request-timeout=10s"]).with_context(|| {
            format!("{name} did not answer at {QUALITY_PATH}; a worker with API keys is asked with curl, see docs/quality.md")
        })?;
        let captured = serde_json::from_slice(&answer)
            .with_context(|| format!("{name} has no {QUALITY_PATH} of this version; another engine has none"))?;
        found.push((name, captured));
    }
    manifest(&args.model, (&namespace, &config_map), found)
}

/// The ConfigMap with the sum of what the workers counted.
fn manifest(model: &str, (namespace, name): (&str, &str), found: Vec<(String, Captured)>) -> anyhow::Result<String> {
    let mut found = found.into_iter();
    let Some((_, mut sum)) = found.next() else {
        bail!("no worker of {model} runs in this namespace; name it with --namespace");
    };
    for (pod, captured) in found {
        sum = sum.with(&captured).with_context(|| {
            format!(
                "{pod} serves other files than the workers before it: wait for the end of the rollout, and an hour more"
            )
        })?;
    }
    if sum.texts < FEWEST_TEXTS {
        bail!(
            "the workers of {model} counted {} texts in their last hour, and a baseline needs {FEWEST_TEXTS}: wait for more requests",
            sum.texts
        );
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace },
        "data": { KEY: serde_json::to_string(&sum)? },
    });
    Ok(serde_yaml::to_string(&object)?)
}

#[cfg(test)]
mod tests {
    use belfry_crds::contract::quality::{FORMAT, INPUT_LENGTH, WINDOW_SECONDS};

    use super::*;

    fn captured(digest: &str, texts: u64) -> Captured {
        Captured {
            format: FORMAT,
            model: "minilm".to_owned(),
            digest: digest.to_owned(),
            captured_at: 1.0,
            window_seconds: WINDOW_SECONDS,
            texts,
            features: [(INPUT_LENGTH.to_owned(), vec![vec![texts]])].into(),
        }
    }

    fn of(found: &[(&str, u64)]) -> Result<String, String> {
        let found = found.iter().enumerate();
        let found = found.map(|(pod, (digest, texts))| (format!("pod-{pod}"), captured(digest, *texts))).collect();
        manifest("minilm", ("search", "minilm-baseline"), found).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_printed_is_what_a_worker_reads() {
        let object: Value = serde_yaml::from_str(&of(&[("a", 300), ("a", 400)]).unwrap()).unwrap();
        assert_eq!(object["metadata"], json!({ "name": "minilm-baseline", "namespace": "search" }));
        let read = Captured::read(object["data"][KEY].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!((read.texts, &read.features[INPUT_LENGTH]), (700, &vec![vec![700]]));
    }

    #[test]
    fn what_would_be_no_baseline_is_refused_with_what_to_do() {
        assert!(of(&[]).unwrap_err().contains("--namespace"));
        assert!(of(&[("a", 499)]).unwrap_err().contains("counted 499 texts"));
        assert!(of(&[("a", 600), ("b", 600)]).unwrap_err().starts_with("pod-1 serves other files"));
    }
}
