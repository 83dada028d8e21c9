//! `spec.runtime`: how a worker computes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// How a worker computes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// Image of the worker. Default: the one that belongs to the template revision, shown in status.runtime.image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,
    /// Revision of the pod template. Default: the newest at creation; an upgrade of the operator does not change it
    /// unless the installation has staged upgrades. status.runtime.availableTemplateRevision names the newest. The
    /// model moves to a revision named here at once, and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub template_revision: Option<String>,
    /// Device that computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Type of weights and activations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// Compute threads, 1 to 256. Default: the CPU limit, or all cores if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<i32>,
    /// Limits of one forward pass and of one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
    /// Limits of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

/// Device that computes, as PyTorch names it: `cpu` or `cuda`. Default cpu.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl Device {
    /// PyTorch's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Type of weights and activations, as PyTorch names it. Default auto: bfloat16 if the device computes it natively,
/// else float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Dtype {
    /// bfloat16 if the device computes it natively, else float32.
    #[default]
    Auto,
    /// 32 bits.
    Float32,
    /// 16 bits with the range of float32.
    Bfloat16,
    /// 16 bits; only on a GPU.
    Float16,
}

impl Dtype {
    /// PyTorch's name, or `auto`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Limits of one forward pass and of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batching {
    /// Most tokens in one forward pass, 512 to 1048576. Default 4096. A smaller limit keeps latency flat, a larger one
    /// fills a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 512, max = 1_048_576))]
    pub max_batch_tokens: Option<i32>,
    /// Most texts in one forward pass, 1 to 4096. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_batch_size: Option<i32>,
    /// Most texts in one request, 1 to 4096; more is refused with 422. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_client_batch_size: Option<i32>,
}

/// Limits of the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Most texts that may wait, 1 to 100000; one more is answered with 429. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub capacity: Option<i32>,
    /// Milliseconds after which a request is answered with 504, 10 to 600000. Default 30000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 600_000))]
    pub request_timeout_ms: Option<i32>,
}
