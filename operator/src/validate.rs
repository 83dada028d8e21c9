//! `InferenceModel` and what was observed about it → [`ValidModel`], or the list of its [`Problem`]s.
//!
//! Pure. Most rules stand in the CRD, where the API server checks them; here are those that CEL
//! can't express, and the defaults. Builders take a [`ValidModel`] and decide nothing again.

use std::collections::BTreeMap;
use std::fmt;

mod alertmanager;
mod alerts;
mod autoscaling;
mod engine;
mod monitoring;
mod pod;
mod rollout;
mod source;

use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{
    Batching, Device, Dtype, InferenceModelSpec, PodTemplate, Queue, Runtime, Scheduling, ScrapeInterval, Task,
};
use belfry_crds::{InferenceModel, InferenceModelStatus};
use k8s_openapi::api::core::v1::ResourceRequirements;

pub use alertmanager::{Channel, Times, ValidAlertmanager, ValidReceiver, Window};
pub use alerts::ValidAlerts;
pub use autoscaling::{Scaler, ValidAutoscaling};
pub use engine::ValidEngine;
pub use pod::{ValidAvailability, ValidNetwork, ValidPolicy};
pub use rollout::{Replace, ValidRollout};
pub use source::{Download, Timeouts, ValidSource};

use crate::deployed::Deployed;
use crate::resources;
use crate::settings::Settings;
use crate::template::{Pin, Running, TemplateRevision};

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
    /// Names that requests use for it; the first is the one in answers.
    pub served_names: Vec<String>,
    /// Wanted worker pods, unless they are scaled; 0 while the model is suspended.
    pub replicas: i32,
    /// Who decides the number of worker pods in place of `replicas`; nobody while the model is suspended.
    pub autoscaling: Option<ValidAutoscaling>,
    /// The model has no pods for as long as its user says so.
    pub is_suspended: bool,
    /// CPU, memory and devices of one worker.
    pub resources: ResourceRequirements,
    /// How the worker computes.
    pub runtime: ValidRuntime,
    /// The engine that serves the model in place of Belfry's own worker.
    pub engine: Option<ValidEngine>,
    /// How new pods replace old ones.
    pub rollout: ValidRollout,
    /// Seconds that a pod may take to load and warm its model.
    pub startup_budget_seconds: i32,
    /// What the loss of a node or a drain may cost.
    pub availability: ValidAvailability,
    /// Where pods run.
    pub scheduling: Scheduling,
    /// Where the model answers, and whom.
    pub network: ValidNetwork,
    /// Labels, annotations, environment and arguments of the user.
    pub pod_template: PodTemplate,
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
    /// Image that a new model would get.
    pub available_image: String,
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

impl ValidRuntime {
    /// Whether the pods of a new model of the same specification would differ.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let follows_default = self.image == image_for(&self.default_image, self.device);
        self.template_revision != TemplateRevision::NEWEST
            || (follows_default && self.default_image != self.available_image)
    }
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
    /// Which alerts there are, and how they ring.
    pub alerts: ValidAlerts,
    /// Label `team` of every alert.
    pub team: Option<String>,
    /// Annotation `contact` of every alert.
    pub contact: Option<String>,
    /// Where runbooks stand, without a slash at the end.
    pub runbook_base_url: String,
    /// Labels of the dashboard's ConfigMap; `None` for no dashboard.
    pub dashboard_labels: Option<BTreeMap<String, String>>,
    /// Who is paged by an AlertmanagerConfig of the model; `None` for no such object.
    pub alertmanager: Option<ValidAlertmanager>,
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
    validate_running(model, None, settings)
}

/// The same for a model in a cluster, whose Deployment tells what was chosen for it. A status that was lost is replaced by
/// that, too.
///
/// # Errors
/// Every problem at once, each with its field.
pub fn validate_running(
    model: &InferenceModel,
    deployed: Option<&Deployed>,
    settings: &Settings,
) -> Result<ValidModel, Vec<Problem>> {
    let mut problems = vec![];
    let spec = &model.spec;
    let of_status = model.status.as_ref().and_then(|status| status.runtime.as_ref()).map(Running::of_status);
    let running = of_status.or_else(|| deployed?.running.clone());
    let device = spec.runtime.as_ref().and_then(|r| r.device).unwrap_or_default();
    let resources = keep(resources::requirements(spec.resources.as_ref(), device), &mut problems);
    let startup_budget_seconds =
        spec.probes.as_ref().and_then(|p| p.startup_budget_seconds).unwrap_or(defaults::STARTUP_BUDGET_SECONDS);
    let source = keep(source::source(&spec.model, startup_budget_seconds, deployed), &mut problems);
    let runtime = keep(runtime(spec, running.as_ref(), settings), &mut problems);
    let engine = spec.engine.as_ref().map(ValidEngine::new);
    problems.extend(spec.engine.iter().flat_map(ValidEngine::unspeakable));
    let monitoring = keep(monitoring::monitoring(spec.observability.as_ref(), settings), &mut problems);
    problems.extend(pod::reserved_keys(spec.pod_template.as_ref()));
    if let (Some(engine), Some(monitoring)) = (&engine, &monitoring) {
        problems.extend(engine.unmeasurable(monitoring));
    }
    if let (Some(engine), Some(source)) = (&engine, &source) {
        problems.extend(engine.unreadable(source));
    }
    let autoscaling = keep(autoscaling::autoscaling(spec.autoscaling.as_ref(), engine.as_ref()), &mut problems);
    let (Some(resources), Some(source), Some(runtime), Some(monitoring), Some(autoscaling)) =
        (resources, source, runtime, monitoring, autoscaling)
    else {
        return Err(problems);
    };
    let rollout = keep(rollout::rollout(spec.rollout.as_ref(), &resources, startup_budget_seconds), &mut problems);
    let Some(rollout) = rollout.filter(|_| problems.is_empty()) else { return Err(problems) };
    let name = model.metadata.name.clone().unwrap_or_default();
    Ok(ValidModel {
        namespace: model.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        uid: model.metadata.uid.clone().unwrap_or_default(),
        task: spec.task,
        source,
        sha256: spec.model.sha256.clone(),
        served_names: match spec.model.served_names.as_slice() {
            [] => vec![name.clone()],
            names => names.to_vec(),
        },
        name,
        replicas: wanted_replicas(spec, model.status.as_ref()),
        autoscaling: autoscaling.filter(|_| spec.suspend != Some(true)),
        is_suspended: spec.suspend == Some(true),
        resources,
        runtime,
        engine,
        rollout,
        startup_budget_seconds,
        availability: pod::availability(spec.availability.as_ref()),
        scheduling: spec.scheduling.clone().unwrap_or_default(),
        network: pod::network(spec.network.as_ref()),
        pod_template: spec.pod_template.clone().unwrap_or_default(),
        monitoring,
    })
}

/// Worker pods that a specification wants: none while it is suspended, and else those that it names, or those that a
/// scaler left behind.
#[must_use]
pub fn wanted_replicas(spec: &InferenceModelSpec, status: Option<&InferenceModelStatus>) -> i32 {
    if spec.suspend == Some(true) {
        return 0;
    }
    let left_behind = status.and_then(|status| status.scaled_replicas);
    spec.replicas.or(left_behind).unwrap_or(defaults::REPLICAS)
}

fn keep<T>(part: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    part.map_err(|found| problems.extend(found)).ok()
}

fn runtime(
    spec: &InferenceModelSpec,
    running: Option<&Running>,
    settings: &Settings,
) -> Result<ValidRuntime, Vec<Problem>> {
    let runtime = spec.runtime.clone().unwrap_or_default();
    let Runtime { image, template_revision, device, dtype, threads, batching, queue } = runtime;
    let pin = Pin::choose(template_revision.as_deref(), running, settings).map_err(|problem| vec![problem])?;
    let Batching { max_batch_tokens, max_batch_size, max_client_batch_size } = batching.unwrap_or_default();
    let Queue { capacity, request_timeout_ms } = queue.unwrap_or_default();
    let device = device.unwrap_or_default();
    let image = spec.engine.as_ref().map(|engine| engine.image.clone()).or(image);
    Ok(ValidRuntime {
        image: image.unwrap_or_else(|| image_for(&pin.image, device)),
        default_image: pin.image,
        template_revision: pin.revision,
        available_image: settings.worker_image.clone(),
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
