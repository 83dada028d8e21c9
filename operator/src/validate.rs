//! `InferenceModel` and what was observed about it → [`ValidModel`], or the list of its [`Problem`]s.
//!
//! Pure. Most rules stand in the CRD, where the API server checks them; here are those that CEL
//! can't express, and the defaults. Builders take a [`ValidModel`] and decide nothing again.

use std::collections::BTreeMap;
use std::fmt;

use belfry_crds::contract::{defaults, threshold_seconds};
use belfry_crds::inference_model::{
    Batching, Device, Dtype, Indicator, InferenceModelSpec, Observability, Queue, Runtime, ScrapeInterval, Slo, Task,
};
use belfry_crds::{InferenceModel, InferenceModelStatus};
use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::children::deployment::START_BUDGET_SECONDS;
use crate::resources;
use crate::settings::Settings;
use crate::template::{Pin, TemplateRevision};

mod source;
pub use source::{Download, Timeouts, ValidSource};

/// A specification with every question answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidModel {
    /// Namespace of the `InferenceModel` and of all its children.
    pub namespace: String,
    /// Name of the `InferenceModel`.
    pub name: String,
    /// UID of the `InferenceModel`; empty when a file is rendered that no cluster has seen.
    pub uid: String,
    /// What the model does.
    pub task: Task,
    /// Where it comes from.
    pub source: ValidSource,
    /// Digest that it must have, 64 hexadecimal digits; `None` for any.
    pub sha256: Option<String>,
    /// Wanted worker pods.
    pub replicas: i32,
    /// CPU, memory and devices of one worker.
    pub resources: ResourceRequirements,
    /// How the worker computes.
    pub runtime: ValidRuntime,
    /// Scraping, objectives, alerts and dashboards.
    pub monitoring: ValidMonitoring,
}

/// How the worker computes, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidRuntime {
    /// Image of the worker.
    pub image: String,
    /// Image that belongs to the template revision; the same unless the specification overrides it.
    pub default_image: String,
    /// Revision of the pod template.
    pub template_revision: TemplateRevision,
    /// Device of the tensors.
    pub device: Device,
    /// Type of weights and activations.
    pub dtype: Dtype,
    /// Compute threads; 0 takes the CPU limit.
    pub threads: i32,
    /// Most tokens in one forward pass.
    pub max_batch_tokens: u32,
    /// Most texts in one forward pass.
    pub max_batch_size: u32,
    /// Most texts in one request.
    pub max_client_batch_size: u32,
    /// Most texts waiting.
    pub queue_capacity: u32,
    /// Milliseconds after which a request is given up.
    pub request_timeout_ms: u32,
}

/// Scraping, objectives, alerts and dashboards, with defaults applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValidMonitoring {
    /// Labels for Prometheus' selectors, on the ServiceMonitor and the PrometheusRule.
    pub labels: BTreeMap<String, String>,
    /// Time between two scrapes, and between two evaluations of the rules.
    pub interval: ScrapeInterval,
    /// Objectives, in the order of the specification.
    pub objectives: Vec<Objective>,
    /// Label `team` of every alert.
    pub team: Option<String>,
    /// Annotation `contact` of every alert.
    pub contact: Option<String>,
    /// Where runbooks stand, without a slash at the end.
    pub runbook_base_url: String,
    /// Labels of the dashboard's ConfigMap; `None` for no dashboard.
    pub dashboard_labels: Option<BTreeMap<String, String>>,
}

/// A service level objective over 30 days.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Label `slo`.
    pub name: String,
    /// As it is written: "99.9".
    pub percent: String,
    /// The same as a ratio: 0.999.
    pub ratio: f64,
    /// What is measured.
    pub target: Target,
}

/// What an objective measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Requests not answered with a 5xx.
    Availability,
    /// Requests answered within a bucket bound.
    Latency {
        /// As it is written: "250ms".
        threshold: String,
        /// The same in seconds.
        seconds: f64,
    },
}

/// One thing that is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, from `spec`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem with that field.
    #[must_use]
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Checks a model and applies the defaults.
///
/// # Errors
/// Every problem at once, each with its field.
pub fn validate(model: &InferenceModel, settings: &Settings) -> Result<ValidModel, Vec<Problem>> {
    let mut problems = vec![];
    let spec = &model.spec;
    let device = spec.runtime.as_ref().and_then(|r| r.device).unwrap_or_default();
    let resources = keep(resources::requirements(spec.resources.as_ref(), device), &mut problems);
    let source = keep(source::source(&spec.model, START_BUDGET_SECONDS), &mut problems);
    let runtime = keep(runtime(spec, model.status.as_ref(), settings), &mut problems);
    let monitoring = keep(monitoring(spec.observability.as_ref(), settings), &mut problems);
    let (Some(resources), Some(source), Some(runtime), Some(monitoring)) = (resources, source, runtime, monitoring)
    else {
        return Err(problems);
    };
    Ok(ValidModel {
        namespace: model.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        name: model.metadata.name.clone().unwrap_or_default(),
        uid: model.metadata.uid.clone().unwrap_or_default(),
        task: spec.task,
        source,
        sha256: spec.model.sha256.clone(),
        replicas: spec.replicas.unwrap_or(defaults::REPLICAS),
        resources,
        runtime,
        monitoring,
    })
}

fn keep<T>(part: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    part.map_err(|found| problems.extend(found)).ok()
}

fn runtime(
    spec: &InferenceModelSpec,
    status: Option<&InferenceModelStatus>,
    settings: &Settings,
) -> Result<ValidRuntime, Vec<Problem>> {
    let runtime = spec.runtime.clone().unwrap_or_default();
    let Runtime { image, template_revision, device, dtype, threads, batching, queue } = runtime;
    let pin = Pin::choose(template_revision.as_deref(), status.and_then(|s| s.runtime.as_ref()), settings)
        .map_err(|problem| vec![problem])?;
    let Batching { max_batch_tokens, max_batch_size, max_client_batch_size } = batching.unwrap_or_default();
    let Queue { capacity, request_timeout_ms } = queue.unwrap_or_default();
    let device = device.unwrap_or_default();
    Ok(ValidRuntime {
        image: image.unwrap_or_else(|| image_for(&pin.image, device)),
        default_image: pin.image,
        template_revision: pin.revision,
        device,
        dtype: dtype.unwrap_or_default(),
        threads: threads.unwrap_or(0),
        max_batch_tokens: positive(max_batch_tokens, defaults::MAX_BATCH_TOKENS),
        max_batch_size: positive(max_batch_size, defaults::MAX_BATCH_SIZE),
        max_client_batch_size: positive(max_client_batch_size, defaults::MAX_CLIENT_BATCH_SIZE),
        queue_capacity: positive(capacity, defaults::QUEUE_CAPACITY),
        request_timeout_ms: positive(request_timeout_ms, defaults::REQUEST_TIMEOUT_MS),
    })
}

/// The CUDA variant of an image has the same tag and `-cuda`. A digest names one image and no variant.
fn image_for(image: &str, device: Device) -> String {
    match device {
        Device::Cuda if !image.contains('@') => format!("{image}-cuda"),
        Device::Cuda | Device::Cpu => image.to_owned(),
    }
}

/// The CRD bounds these below by 1, so that only a hand-made object can be negative.
fn positive(value: Option<i32>, default: u32) -> u32 {
    value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default)
}

fn monitoring(spec: Option<&Observability>, settings: &Settings) -> Result<ValidMonitoring, Vec<Problem>> {
    let spec = spec.cloned().unwrap_or_default();
    let owner = spec.owner.unwrap_or_default();
    let dashboard = spec.dashboard.unwrap_or_default();
    let mut problems = vec![];
    let objectives: Vec<_> =
        spec.slos.iter().enumerate().filter_map(|(i, slo)| keep(objective(i, slo), &mut problems)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let dashboard_labels = if dashboard.labels.is_empty() {
        BTreeMap::from([("grafana_dashboard".to_owned(), "1".to_owned())])
    } else {
        dashboard.labels
    };
    let monitor = spec.monitor.unwrap_or_default();
    Ok(ValidMonitoring {
        labels: monitor.labels,
        interval: monitor.interval.unwrap_or_default(),
        objectives,
        team: owner.team,
        contact: owner.contact,
        runbook_base_url: owner
            .runbook_base_url
            .unwrap_or_else(|| settings.runbook_base_url.clone())
            .trim_end_matches('/')
            .to_owned(),
        dashboard_labels: dashboard.enabled.unwrap_or(true).then_some(dashboard_labels),
    })
}

fn objective(index: usize, slo: &Slo) -> Result<Objective, Vec<Problem>> {
    let field = |name: &str| format!("spec.observability.slos[{index}].{name}");
    let percent: f64 = slo
        .objective
        .parse()
        .map_err(|_| vec![Problem::new(&field("objective"), "write per cent as a decimal number, such as \"99.9\"")])?;
    let target = match slo.indicator {
        Indicator::Availability => Target::Availability,
        Indicator::Latency => {
            let threshold = slo.threshold.clone().unwrap_or_default();
            let seconds = threshold_seconds(&threshold).ok_or_else(|| {
                vec![Problem::new(&field("threshold"), format!("{threshold:?} is no bucket bound of the worker"))]
            })?;
            Target::Latency { threshold, seconds }
        }
    };
    // Percent has at most three decimals, so that this rounding only removes the noise of the division.
    let ratio = (percent * 1000.0).round() / 100_000.0;
    Ok(Objective { name: slo.name.clone(), percent: slo.objective.clone(), ratio, target })
}
