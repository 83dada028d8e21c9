//! Fields that would have no effect on this model, or another one than they say. What is accepted is done (invariant 13).

use std::collections::BTreeSet;

use belfry_crds::InferenceModelSpec;
use belfry_crds::inference_model::{AlertOverride, AlertProfile, EngineType};

use super::tracing;
use crate::engine::profile;
use crate::model::{ValidAlerts, ValidEngine, ValidModel, ValidMonitoring, ValidSource};
use crate::monitoring;
use crate::problem::Problem;

/// The revision that engines download which take none.
const NEWEST: &str = "main";

/// Flags of the worker that the operator sets from a field, and that field.
const FLAGS: &[(&str, &str)] = &[
    ("--model", "spec.model.source"),
    ("--hf-repo", "spec.model.source.huggingFace"),
    ("--hf-revision", "spec.model.source.huggingFace"),
    ("--hf-endpoint", "spec.model.source.huggingFace"),
    ("--hf-token", "spec.model.source.huggingFace"),
    ("--s3-uri", "spec.model.source.s3"),
    ("--s3-endpoint", "spec.model.source.s3"),
    ("--s3-region", "spec.model.source.s3"),
    ("--s3-access-key-id", "spec.model.source.s3"),
    ("--s3-secret-access-key", "spec.model.source.s3"),
    ("--s3-session-token", "spec.model.source.s3"),
    ("--model-sha256", "spec.model.sha256"),
    ("--ca-file", "spec.model.caBundle"),
    ("--cache", "spec.model.cache"),
    ("--download-timeout-seconds", "spec.model.cache"),
    ("--stall-timeout-seconds", "spec.model.cache"),
    ("--served-name", "spec.model.servedNames"),
    ("--task", "spec.task"),
    ("--device", "spec.runtime.device"),
    ("--dtype", "spec.runtime.dtype"),
    ("--threads", "spec.runtime.threads"),
    ("--max-batch-tokens", "spec.runtime.batching"),
    ("--max-batch-size", "spec.runtime.batching"),
    ("--max-client-batch-size", "spec.runtime.batching"),
    ("--queue-capacity", "spec.runtime.queue"),
    ("--request-timeout-ms", "spec.runtime.queue"),
    ("--drain-timeout-seconds", "spec.rollout.drainSeconds"),
    ("--drain-delay-seconds", "spec.rollout.drainSeconds"),
    ("--listen", "spec.network.port"),
    ("--metrics-listen", "spec.observability.monitor.port"),
    ("--termination-log", "status.lastFailure"),
    ("--quality-baseline", "spec.quality.baseline"),
    ("--enable-trace", "spec.observability.tracing"),
    ("--otlp-traces-endpoint", "spec.observability.tracing"),
];

/// Every field of the specification that would be ignored.
pub(super) fn without_effect(spec: &InferenceModelSpec, model: &ValidModel) -> Vec<Problem> {
    let of_engine = model.engine.iter().flat_map(|engine| ignored_by(engine, spec, model));
    let problems = of_engine.chain(flags(spec)).chain(peerless(spec)).chain(nameless(spec, model));
    problems.chain(authorities(spec, model)).chain(alerts(model)).chain(tracing::unsent(model)).collect()
}

fn ignored_by(engine: &ValidEngine, spec: &InferenceModelSpec, model: &ValidModel) -> Vec<Problem> {
    let name = profile(engine.type_).name;
    let mut problems = vec![];
    if let ValidSource::HuggingFace(hub, _) = &model.source
        && hub.revision != NEWEST
        && takes_no_revision(engine, spec, &hub.revision)
    {
        let cure = match engine.type_ {
            EngineType::LlamaCpp => "put the file on a claim and use pvc",
            _ => "name it in spec.engine.args or spec.podTemplate.env",
        };
        let message = format!("{name} is given no revision and would load {NEWEST}: {cure}, or set revision: {NEWEST}");
        problems.push(Problem::new("spec.model.source.huggingFace.revision", message));
    }
    if matches!(engine.type_, EngineType::Custom | EngineType::Triton) && !spec.model.served_names.is_empty() {
        let message =
            format!("{name} takes its names from its own settings: remove servedNames, and use spec.engine.args");
        problems.push(Problem::new("spec.model.servedNames", message));
    }
    if model.monitoring.port.is_some() {
        let cure = match engine.type_ {
            EngineType::Custom | EngineType::Triton => "use spec.engine.ports.metrics",
            _ => "remove it",
        };
        let message = format!("it is the port of Belfry's own worker, and {name} has its own: {cure}");
        problems.push(Problem::new("spec.observability.monitor.port", message));
    }
    let has_port_of_metrics = matches!(engine.type_, EngineType::Custom | EngineType::Triton);
    if !has_port_of_metrics && engine.metrics_port != engine.http_port {
        let message = format!("{name} shows its metrics on the port of requests, {}: remove metrics", engine.http_port);
        problems.push(Problem::new("spec.engine.ports.metrics", message));
    }
    problems
}

/// The worker would look for a certificate that no download needs, and an engine would be given two files.
fn authorities(spec: &InferenceModelSpec, model: &ValidModel) -> Option<Problem> {
    spec.model.ca_bundle.as_ref()?;
    if model.source.download().is_none() {
        let message = "nothing is downloaded from a claim or an image: remove it, or use a source huggingFace or s3";
        return Some(Problem::new("spec.model.caBundle", message));
    }
    let given = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];
    let twice = model.pod_template.env.iter().find(|variable| given.contains(&variable.name.as_str()))?;
    let message = format!("{} names authorities, and spec.model.caBundle does too: remove one of them", twice.name);
    Some(Problem::new("spec.podTemplate.env", message))
}

/// Whether nothing passes the revision on. A custom engine may take it from its arguments or its environment.
fn takes_no_revision(engine: &ValidEngine, spec: &InferenceModelSpec, revision: &str) -> bool {
    match engine.type_ {
        EngineType::LlamaCpp => true,
        EngineType::Custom => {
            let env = spec.pod_template.iter().flat_map(|template| &template.env);
            let env = env.filter_map(|variable| variable.value.as_deref());
            let mut words = engine.command.iter().chain(&engine.args).map(String::as_str).chain(env);
            !words.any(|word| word.contains(revision))
        }
        EngineType::VLLM | EngineType::TEI | EngineType::SGLang | EngineType::Triton => false,
    }
}

fn flags(spec: &InferenceModelSpec) -> Vec<Problem> {
    let arguments = spec.pod_template.iter().flat_map(|template| &template.extra_args).enumerate();
    let refused = |(index, argument): (usize, &String)| {
        let flag = argument.split('=').next().unwrap_or_default();
        let (_, field) = FLAGS.iter().find(|(known, _)| *known == flag)?;
        let message = format!("{flag} would take the place of what the operator sets: use {field}");
        Some(Problem::new(&format!("spec.podTemplate.extraArgs[{index}]"), message))
    };
    arguments.filter_map(refused).collect()
}

/// Without `allowFrom` everybody is admitted, Prometheus too.
fn peerless(spec: &InferenceModelSpec) -> Option<Problem> {
    let rules = spec.network.as_ref()?.network_policy.as_ref()?;
    (rules.prometheus_namespace.is_some() && rules.allow_from.is_empty()).then(|| {
        let message = "without allowFrom every pod is admitted: name the callers in allowFrom, or remove it";
        Problem::new("spec.network.networkPolicy.prometheusNamespace", message)
    })
}

/// A pod that may reach nothing has no names to resolve.
fn nameless(spec: &InferenceModelSpec, model: &ValidModel) -> Option<Problem> {
    let rules = spec.network.as_ref()?.network_policy.as_ref()?;
    let policy = model.network.policy.as_ref()?;
    let reaches_something =
        model.source.endpoint().is_some() || model.monitoring.tracing.is_some() || !policy.egress_ports.is_empty();
    (!rules.dns_ports.is_empty() && !reaches_something).then(|| {
        let message = "the pods of a model from a claim or an image may reach nothing: name egressPorts, or remove it";
        Problem::new("spec.network.networkPolicy.dnsPorts", message)
    })
}

/// Exceptions for alerts that the model does not have.
fn alerts(model: &ValidModel) -> Vec<Problem> {
    let overrides = &model.monitoring.alerts.overrides;
    if overrides.is_empty() {
        return vec![];
    }
    let present = names(model);
    let possible = names(&with_every_alert(model));
    let problem = |one: &AlertOverride| {
        let AlertOverride { alert, enabled, for_, severity } = one;
        let is_changed = for_.is_some() || severity.is_some();
        let message = if !possible.contains(alert) {
            format!("the model has no {alert}, since it lacks the series or the objective: remove the override")
        } else if is_changed && *enabled == Some(false) {
            format!("{alert} is switched off, so that for and severity do nothing: remove them, or enabled")
        } else if is_changed && !present.contains(alert) {
            let profile = model.monitoring.alerts.profile.as_str();
            format!("the profile {profile} leaves {alert} out: set enabled: true, or remove the override")
        } else {
            return None;
        };
        Some(Problem::new("spec.observability.alerts.overrides", message))
    };
    overrides.values().filter_map(problem).collect()
}

fn with_every_alert(model: &ValidModel) -> ValidModel {
    let alerts = ValidAlerts { profile: AlertProfile::Full, ..ValidAlerts::default() };
    ValidModel { monitoring: ValidMonitoring { alerts, ..model.monitoring.clone() }, ..model.clone() }
}

fn names(model: &ValidModel) -> BTreeSet<String> {
    let groups = monitoring::rules(model).groups.into_iter();
    groups.flat_map(|group| group.rules).filter_map(|rule| rule.alert).collect()
}
