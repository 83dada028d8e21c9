//! The `InferenceModel` custom resource, `belfry.dev/v1alpha1`.
//!
//! Doc comments become the CRD's descriptions. There are no schema defaults (invariant 12). Code applies the defaults
//! that are named here, from [`crate::contract::defaults`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::InferenceModelStatus;

mod alertmanager;
mod alerts;
mod autoscaling;
mod engine;
mod labels;
mod network;
mod observability;
mod placement;
mod pod_template;
mod quality;
mod rollout;
mod runtime;
mod source;

pub use alertmanager::{
    Alertmanager, EmailReceiver, GroupLabel, MaintenanceWindow, Once, OpsgenieReceiver, PagerDutyReceiver, Receiver,
    ServiceRegion, SlackReceiver, WebhookReceiver, Weekday, Weekly,
};
pub use alerts::{AlertOverride, AlertProfile, AlertSeverity, Alerts};
pub use autoscaling::{
    Autoscaling, ScalingBehavior, ScalingMetric, ScalingMetricType, ScalingPolicy, ScalingPolicySelect,
    ScalingPolicyType, ScalingProvider, ScalingRules,
};
pub use engine::{Engine, EnginePorts, EngineProbes, EngineType, MappedMetric, MetricMapping};
pub use labels::{is_free_pod_key, is_identity_key};
pub use network::{Network, Peer, PolicyMode, PolicyRules};
pub use observability::{
    Dashboard, Indicator, Monitor, Observability, Owner, ScrapeInterval, Slo, Tracing, TracingProtocol,
};
pub use placement::{
    Availability, DisruptionBudget, NodeAffinity, NodeOperator, NodePreference, NodeRequirement, Scheduling,
    TaintEffect, Toleration, TolerationOperator, TopologySpread,
};
pub use pod_template::{EnvVar, PodTemplate, PullSecret, RunAsUser};
pub use quality::Quality;
pub use rollout::{Probes, Rollout, RolloutStrategy};
pub use runtime::{Batching, Device, Dtype, Queue, Runtime};
pub use source::{
    AccessMode, CaBundle, Cache, CacheMode, ConfigMapKeyRef, HuggingFaceSource, OciMount, OciSource, PullPolicy,
    PvcSource, S3Credentials, S3Source, SecretKeyRef, Source,
};

/// Desired state of a served model.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "belfry.dev",
    version = "v1alpha1",
    kind = "InferenceModel",
    plural = "inferencemodels",
    shortname = "im",
    category = "all",
    namespaced,
    status = "InferenceModelStatus",
    derive = "PartialEq",
    doc = "A model that Belfry serves, with its monitoring, alerts and dashboards.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Loaded", type_ = "string", json_path = ".status.loaded"),
    printcolumn(
        name = "Monitored",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"MonitoringReady\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Task", type_ = "string", json_path = ".spec.task", priority = 1),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas", priority = 1),
    printcolumn(name = "Upgrade", type_ = "string", json_path = ".status.runtime.upgrade", priority = 1),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    validation = kube::core::Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: at most 40 characters, lower case letters, digits and '-', starting with a letter: it becomes the name of a Service and part of pod names")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.runtime) || !has(self.runtime.dtype) || self.runtime.dtype != 'float16' || (has(self.runtime.device) && self.runtime.device == 'cuda')")
    .message("spec.runtime.dtype: float16 needs spec.runtime.device: cuda; on a CPU use auto, float32 or bfloat16"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.replicas) || !has(self.autoscaling)")
    .message("spec.replicas and spec.autoscaling: remove one of them; a scaler owns the number of workers"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.engine) || !has(self.runtime) || !(has(self.runtime.image) || has(self.runtime.dtype) || has(self.runtime.threads) || has(self.runtime.batching) || has(self.runtime.queue))")
    .message("spec.runtime: image, dtype, threads, batching and queue are settings of Belfry's own worker: remove them, and use spec.engine.image and spec.engine.args"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.engine) || !has(self.podTemplate) || !has(self.podTemplate.extraArgs)")
    .message("spec.podTemplate.extraArgs is for Belfry's own worker: move the arguments to spec.engine.args"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.model.servedNames) || size(self.model.servedNames) <= 1 || (has(self.engine) && self.engine.type == 'VLLM')")
    .message("spec.model.servedNames: only engine VLLM answers to more than one name: keep one"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.engine) || !(has(self.model.sha256) || has(self.model.cache) && (has(self.model.cache.downloadTimeoutSeconds) || has(self.model.cache.stallTimeoutSeconds)))")
    .message("spec.model: sha256, cache.downloadTimeoutSeconds and cache.stallTimeoutSeconds are settings of Belfry's own worker: remove them, since another engine would ignore them"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.engine) || !has(self.quality)")
    .message("spec.quality is for Belfry's own worker: remove it, since another engine would ignore it"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.model.source.s3) || !has(self.podTemplate) || !has(self.podTemplate.env) || !self.podTemplate.env.exists(variable, variable.name in ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'])")
    .message("spec.podTemplate.env: the operator sets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN for a bucket: use spec.model.source.s3.credentialsSecretRef"))]
pub struct InferenceModelSpec {
    /// What the model does. Can't be changed afterwards: create another InferenceModel.
    #[x_kube(validation = kube::core::Rule::new("self == oldSelf").message("task can't be changed: create another InferenceModel"))]
    pub task: Task,
    /// The model and its source.
    pub model: Model,
    /// Worker pods, 0 to 1000. Default 1. 0 keeps everything but the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// Scales the number of workers by their load, in place of replicas. Default: replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Box<Autoscaling>>,
    /// `true` removes all pods and keeps everything else, including replicas, until the field is false again. Alerts do
    /// not fire meanwhile. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// CPU, memory and devices of one worker. Default: requests of 500m CPU and 1Gi memory, limit of 1Gi memory,
    /// and with `runtime.device: cuda` one `nvidia.com/gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// How the worker computes. Default: on the CPU, with a data type that suits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Another engine in place of Belfry's own worker. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Box<Engine>>,
    /// How new pods replace old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How long a pod may take to become ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// How the model survives drains and the loss of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// Where pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Box<Scheduling>>,
    /// The model's Service port and network policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Box<Network>>,
    /// Settings of the pods that only the user can know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<Box<PodTemplate>>,
    /// Scraping, objectives, alerts and dashboards. Default: all of them, without objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<Box<Observability>>,
    /// What the quality of the model's answers is measured against. Only for Belfry's own worker. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// What the model does. Can't be changed afterwards: create another InferenceModel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Task {
    /// Text in, one vector for each text out.
    Embedding,
    /// Text in, weights of words of the vocabulary out (SPLADE).
    SparseEmbedding,
    /// A query and texts in, one score for each text out.
    Rerank,
    /// Text in, the numbers of labels out.
    Classification,
}

/// A model and its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.cache) || has(self.source.huggingFace) || has(self.source.s3)")
    .message("spec.model.cache is only for downloads: remove it, or use a source huggingFace or s3"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.caBundle) || has(self.source.huggingFace) || has(self.source.s3)")
    .message("spec.model.caBundle is only for downloads: remove it, or use a source huggingFace or s3"))]
pub struct Model {
    /// Where the model's folder comes from.
    pub source: Source,
    /// Names that requests use for the model, at most 8; the first is the one in answers. Not for the engines Custom and
    /// Triton, whose own settings name their models. Series, alerts and dashboards
    /// always have the name of the InferenceModel, because two models may answer to the same name. Default: the name of
    /// the InferenceModel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("items" = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/-]*$"})))]
    pub served_names: Vec<String>,
    /// SHA-256 of the model's manifest, 64 hexadecimal digits; a worker refuses to serve any other model. The manifest
    /// has a line for each file that is loaded, `SHA256  PATH` as `sha256sum` writes it, sorted by path;
    /// `belfry-worker digest FOLDER` prints it, and each worker reports its own as `digest`. Only Belfry's own worker
    /// checks it. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Where a download is stored, and how long it may take. Only for huggingFace and s3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Authorities of your own that signed the certificate of the hub, the mirror or the bucket. Only for huggingFace and
    /// s3. Another engine finds them in SSL_CERT_FILE and REQUESTS_CA_BUNDLE. Pods read them when they start.
    /// Default: the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// CPU, memory and devices, as on a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Resources that the scheduler reserves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = quantity()))]
    #[x_kube(validation = kube::core::Rule::new("self.all(name, type(self[name]) == int || isQuantity(self[name]))").message(QUANTITY_MESSAGE))]
    pub requests: BTreeMap<String, IntOrString>,
    /// Most resources that a worker may use. The worker takes its number of threads from the CPU limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = quantity()))]
    #[x_kube(validation = kube::core::Rule::new("self.all(name, type(self[name]) == int || isQuantity(self[name]))").message(QUANTITY_MESSAGE))]
    pub limits: BTreeMap<String, IntOrString>,
}

/// A quantity in the user's notation: a string, or a bare number.
fn quantity() -> serde_json::Value {
    serde_json::json!({"x-kubernetes-int-or-string": true, "maxLength": 32})
}

const QUANTITY_MESSAGE: &str = "each value is a quantity, as \"500m\", \"2\" or \"1Gi\"";
