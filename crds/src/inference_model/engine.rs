//! `spec.engine`: an image other than Belfry's own worker, under the same monitoring.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An image that serves the model in place of Belfry's own worker, and how its metrics map to Belfry's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("self.type == 'Custom' || !has(self.metrics)")
    .message("metrics belongs to type Custom, since the metrics of the other types are known: remove it, or use type Custom"))]
pub struct Engine {
    /// Type of the engine.
    #[serde(rename = "type")]
    pub type_: EngineType,
    /// Image of the engine. It must run as an unprivileged user, and write only to /cache and /tmp.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"))]
    pub image: String,
    /// Command in place of the image's own, at most 16 words. Default: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("items" = argument()))]
    pub command: Vec<String>,
    /// Arguments after those that follow from the type, the source and the served names, at most 64. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("items" = argument()))]
    pub args: Vec<String>,
    /// Ports of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<EnginePorts>,
    /// Paths of the probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<EngineProbes>,
    /// Path of the metrics. Default /metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^/[A-Za-z0-9._~/-]*$"))]
    pub metrics_path: Option<String>,
    /// The engine's metrics that mean the same as Belfry's, at most 32. Rules, alerts and dashboards use only these,
    /// and leave out what needs others. Only for type Custom. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub metrics: Vec<MetricMapping>,
}

/// Arguments are passed on unchanged; the kubelet replaces `$(NAME)` by a variable of the environment.
fn argument() -> serde_json::Value {
    serde_json::json!({"type": "string", "maxLength": 1000})
}

/// Type of the engine: decides its ports, probes, arguments and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum EngineType {
    /// Any other engine: name its ports, probes and metrics. `$(BELFRY_MODEL)` in its arguments is the folder of the
    /// model, or its repository on the hub.
    Custom,
    /// vLLM.
    VLLM,
    /// Hugging Face's text-embeddings-inference.
    TEI,
    /// SGLang.
    SGLang,
    /// The server of llama.cpp.
    LlamaCpp,
    /// NVIDIA's Triton Inference Server.
    Triton,
}

/// Ports of an engine's container. A port below 1024 is refused, because an unprivileged user can't open it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnginePorts {
    /// Port of requests and probes, 1024 to 65535. Default: 8000 for VLLM and Triton, 30000 for SGLang, else 8080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65_535))]
    pub http: Option<i32>,
    /// Port of the metrics, 1024 to 65535; only for Custom and Triton, since the others have one port. Default: 8002 for
    /// Triton, else the port of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65_535))]
    pub metrics: Option<i32>,
}

/// Paths of an engine's probes, on its port of requests. Default: /health, and for Triton /v2/health/ready and
/// /v2/health/live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineProbes {
    /// Answers 200 once the model is loaded. Default: /health, for Triton /v2/health/ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^/[A-Za-z0-9._~/-]*$"))]
    pub readiness_path: Option<String>,
    /// Answers 200 while the process makes progress. Default: /health, for Triton /v2/health/live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^/[A-Za-z0-9._~/-]*$"))]
    pub liveness_path: Option<String>,
}

/// One metric of the engine that means the same as one of Belfry's. It is a name with labels and not an expression:
/// rules run with the permissions of Prometheus, so an expression could read all of its series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("self.name == 'inference_requests_total' ? has(self.labels) && 'status' in self.labels : !has(self.labels) || self.name == 'inference_request_duration_seconds'")
    .message("labels: inference_requests_total needs a status, such as status: '200'; inference_request_duration_seconds may have a phase; others take none"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.thresholds) || self.name == 'inference_request_duration_seconds'")
    .message("thresholds belongs to inference_request_duration_seconds: remove it"))]
pub struct MetricMapping {
    /// Belfry's metric.
    pub name: MappedMetric,
    /// The engine's metric, of the same type and unit; for a histogram without _bucket, _sum and _count.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub from: String,
    /// Labels and values that select the engine's series, at most 4. Default: all.
    #[serde(rename = "where", default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4, "additionalProperties" = serde_json::json!({"type": "string", "maxLength": 100})))]
    #[x_kube(validation = kube::core::Rule::new("self.all(key, key.matches('^[a-zA-Z_][a-zA-Z0-9_]*$') && !(key in ['namespace', 'model', 'pod', 'le', '__name__']))")
        .message("where takes names of the engine's own labels, and not namespace, model, pod or le: correct the name"))]
    pub matching: BTreeMap<String, String>,
    /// Labels of Belfry's metric for these series: the HTTP status (and the reason) of counted requests, or the phase
    /// of their time. Default: phase total.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 3, "additionalProperties" = serde_json::json!({"type": "string", "maxLength": 40, "pattern": "^[a-z0-9_]+$"})))]
    #[x_kube(validation = kube::core::Rule::new("self.all(key, key in ['status', 'reason', 'phase'])")
        .message("labels takes status, reason and phase: remove the others"))]
    pub labels: BTreeMap<String, String>,
    /// Bucket bounds of the engine's histogram that a latency objective may use as its threshold. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 13), extend("items" = serde_json::json!({"type": "string", "maxLength": 10})))]
    #[x_kube(validation = kube::core::Rule::new("self.all(t, t in ['1ms', '5ms', '10ms', '25ms', '50ms', '100ms', '250ms', '500ms', '1s', '2500ms', '5s', '10s', '30s'])")
        .message("thresholds may hold only 1ms, 5ms, 10ms, 25ms, 50ms, 100ms, 250ms, 500ms, 1s, 2500ms, 5s, 10s and 30s: remove the others"))]
    pub thresholds: Vec<String>,
}

macro_rules! mapped_metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)*) => {
        /// Belfry's metrics that another engine may have under another name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum MappedMetric {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)*
        }

        impl MappedMetric {
            /// Name in the contract.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

mapped_metrics! {
    /// Counter of answered requests.
    Requests = "inference_requests_total";
    /// Histogram of their time, in seconds.
    RequestDuration = "inference_request_duration_seconds";
    /// Counter of tokens that went into the model.
    Tokens = "inference_tokens_total";
    /// Counter of the seconds in which the device worked on forward passes.
    DeviceBusy = "inference_device_busy_seconds_total";
    /// Gauge of the work that waits for the model.
    QueueDepth = "inference_queue_depth";
    /// Gauge of the most work that may wait.
    QueueCapacity = "inference_queue_capacity";
    /// Gauge of requests that are not answered yet.
    ActiveRequests = "inference_active_requests";
    /// Histogram of texts in one forward pass.
    BatchSize = "inference_batch_size";
    /// Histogram of tokens in one forward pass.
    BatchTokens = "inference_batch_tokens";
    /// Gauge that is 1 when the model answers requests, else 0.
    ModelLoaded = "inference_model_loaded";
}
