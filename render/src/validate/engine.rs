//! `spec.engine`, with the defaults of its type applied, and the problems with what the engine can't do.

use belfry_crds::contract::{METRICS_PATH, metrics};
use belfry_crds::inference_model::{Engine, EngineType, MetricMapping, Task};

use crate::engine::{Mapping, profile};
use crate::model::{ValidEngine, ValidIndicator, ValidMonitoring, ValidSource};
use crate::problem::Problem;

/// Applies the defaults of the engine's type.
pub(super) fn engine(spec: &Engine) -> ValidEngine {
    let profile = profile(spec.type_);
    let ports = spec.ports.clone().unwrap_or_default();
    let probes = spec.probes.clone().unwrap_or_default();
    let http_port = ports.http.unwrap_or(profile.http_port);
    let has_own_metrics_port = profile.metrics_port != profile.http_port;
    let mut mappings = profile.mappings;
    mappings.extend(spec.metrics.iter().filter_map(Mapping::of_user));
    ValidEngine {
        type_: spec.type_,
        command: spec.command.clone(),
        args: spec.args.clone(),
        http_port,
        metrics_port: ports.metrics.unwrap_or(if has_own_metrics_port { profile.metrics_port } else { http_port }),
        readiness_path: probes.readiness_path.unwrap_or_else(|| profile.readiness_path.into()),
        liveness_path: probes.liveness_path.unwrap_or_else(|| profile.liveness_path.into()),
        metrics_path: spec.metrics_path.clone().unwrap_or_else(|| METRICS_PATH.into()),
        mappings,
    }
}

/// Names of metrics and labels that would be read as other PromQL. The CRD refuses them too; this is the last check before
/// they reach a Prometheus that others share.
pub(super) fn unspeakable(spec: &Engine) -> Vec<Problem> {
    let is_name = |label: &str| {
        let starts = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let is_metric = |name: &str| !name.is_empty() && name.split(':').all(|part| part.is_empty() || is_name(part));
    let of = |(index, mapping): (usize, &MetricMapping)| {
        let field = format!("spec.engine.metrics[{index}]");
        let label = mapping.matching.keys().find(|label| !is_name(label));
        let label = label.map(|label| {
            Problem::new(&format!("{field}.where"), format!("{label:?} is not a valid label name: correct it"))
        });
        let metric = (!is_metric(&mapping.from)).then(|| {
            Problem::new(&format!("{field}.from"), format!("{:?} is not a valid metric name: correct it", mapping.from))
        });
        label.into_iter().chain(metric)
    };
    spec.metrics.iter().enumerate().flat_map(of).collect()
}

/// The problem with a task that the engine does not have.
pub(super) fn idle(engine: &ValidEngine, task: Task) -> Option<Problem> {
    let lacks = match engine.type_ {
        EngineType::VLLM | EngineType::SGLang => task == Task::SparseEmbedding,
        EngineType::LlamaCpp => matches!(task, Task::SparseEmbedding | Task::Classification),
        EngineType::TEI | EngineType::Triton | EngineType::Custom => false,
    };
    let message = || {
        let name = profile(engine.type_).name;
        format!(
            "{name} does not serve {task:?}: choose another engine, or leave spec.engine out for Belfry's own worker"
        )
    };
    lacks.then(|| Problem::new("spec.task", message()))
}

/// The problem with a source that the engine can't read.
pub(super) fn unreadable(engine: &ValidEngine, source: &ValidSource) -> Option<Problem> {
    let profile = profile(engine.type_);
    match source {
        ValidSource::HuggingFace(..) if !profile.downloads => {
            let message = format!("{} downloads nothing: put its models on a claim and use pvc", profile.name);
            Some(Problem::new("spec.model.source.huggingFace", message))
        }
        ValidSource::S3(..) => {
            let message = "only Belfry's own worker downloads from a bucket: use pvc or oci";
            Some(Problem::new("spec.model.source.s3", message))
        }
        ValidSource::HuggingFace(..) | ValidSource::Pvc { .. } | ValidSource::Oci { .. } => None,
    }
}

/// Objectives on series that the engine does not have: they would always look as if they were met.
pub(super) fn unmeasurable(engine: &ValidEngine, monitoring: &ValidMonitoring) -> Vec<Problem> {
    let objectives = monitoring.objectives.iter().enumerate();
    objectives.filter_map(|(index, objective)| gap(engine, index, &objective.indicator)).collect()
}

fn gap(engine: &ValidEngine, index: usize, indicator: &ValidIndicator) -> Option<Problem> {
    let name = profile(engine.type_).name;
    match indicator {
        ValidIndicator::Availability => {
            let counts_failures = engine.mappings.iter().any(|mapping| {
                mapping.ours.name == metrics::REQUESTS.name
                    && mapping.labels.get("status").is_some_and(|status| status.starts_with('5'))
            });
            (!counts_failures).then(|| {
                let message = format!("{name} does not count failed requests: remove the objective, or map a metric with a status of 5xx in spec.engine.metrics");
                Problem::new(&format!("spec.observability.slos[{index}].indicator"), message)
            })
        }
        ValidIndicator::Latency { threshold, .. } => {
            let bounds: Vec<_> = engine.latency_thresholds().cloned().collect();
            (!bounds.contains(threshold)).then(|| {
                let cure = match bounds.as_slice() {
                    [] => {
                        "remove the objective, or map a histogram with its thresholds in spec.engine.metrics".to_owned()
                    }
                    bounds => format!("use {}", bounds.join(", ")),
                };
                let message = format!("{threshold} is not a bucket bound of {name}: {cure}");
                Problem::new(&format!("spec.observability.slos[{index}].threshold"), message)
            })
        }
    }
}
