//! A model with every default applied and every check passed: [`crate::validate`] makes it, and every builder reads it.
//!
//! This is data without checks. A builder reads these fields and makes no decision again.

mod alerts;
mod autoscaling;
mod engine;
mod monitoring;
mod pod;
mod rollout;
mod routing;
pub(crate) mod runtime;
mod source;

use belfry_crds::inference_model::{ConfigMapKeyRef, PodTemplate, Scheduling, Task};
use k8s_openapi::api::core::v1::ResourceRequirements;

pub use alerts::ValidAlerts;
pub use autoscaling::{Scaler, ValidAutoscaling};
pub use engine::ValidEngine;
pub use monitoring::{Objective, ValidIndicator, ValidMonitoring};
pub use pod::{ValidAvailability, ValidNetwork, ValidPolicy};
pub use rollout::{Replace, ValidRollout};
pub use routing::{Channel, Times, ValidReceiver, ValidRouting, ValidWindow};
pub use runtime::ValidRuntime;
use runtime::image_for;
pub use source::{Download, Timeouts, ValidSource};

/// A specification with every default applied.
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
    /// Source of the model's files.
    pub source: ValidSource,
    /// Digest that it must have, 64 hexadecimal digits; `None` for any.
    pub sha256: Option<String>,
    /// Names that requests use for it; the first is the one in answers.
    pub served_names: Vec<String>,
    /// Wanted worker pods, unless they are scaled; 0 while the model is suspended.
    pub replicas: i32,
    /// The scaler that decides the number of worker pods in place of `replicas`; `None` while the model is suspended.
    pub autoscaling: Option<ValidAutoscaling>,
    /// A scaler of others decides the number of worker pods; never while the model is suspended.
    pub is_scaled_by_others: bool,
    /// The model has no pods for as long as its user says so.
    pub is_suspended: bool,
    /// CPU, memory and devices of one worker.
    pub resources: ResourceRequirements,
    /// Image, device, data type and batching of the worker.
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
    /// The port at which the model answers, and the clients that may call it.
    pub network: ValidNetwork,
    /// Labels, annotations, environment and arguments of the user.
    pub pod_template: PodTemplate,
    /// Where the baseline is that texts are compared with; `None` for no comparison.
    pub baseline: Option<ConfigMapKeyRef>,
    /// An evaluation job writes scores on the model.
    pub is_evaluated: bool,
    /// Scraping, objectives, alerts and dashboards.
    pub monitoring: ValidMonitoring,
}

impl ValidModel {
    /// The number of workers as the operator applies it; `None` where a scaler owns it.
    #[must_use]
    pub fn owned_replicas(&self) -> Option<i32> {
        let is_scaled = self.autoscaling.is_some() || self.is_scaled_by_others;
        (!is_scaled).then_some(self.replicas)
    }

    /// The port of a pod's metrics, where they have one of their own.
    #[must_use]
    pub fn metrics_port(&self) -> Option<i32> {
        match &self.engine {
            None => self.monitoring.port,
            Some(engine) => (engine.metrics_port != engine.http_port).then_some(engine.metrics_port),
        }
    }

    /// Whether a new model with the same specification would get different pods.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let runtime = &self.runtime;
        let follows_default = runtime.image == image_for(&runtime.default_image, runtime.device);
        runtime.template_revision.is_behind(self.engine.is_some())
            || (follows_default && runtime.default_image != runtime.available_image)
    }
}
