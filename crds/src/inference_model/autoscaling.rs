//! `spec.autoscaling`: scales the number of workers by their load.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// Scales the number of workers by their load. Only the scaler owns the number: the operator applies the Deployment
/// without it. The scaler starts from the number of running workers, and when the scaler is removed, the workers stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.minReplicas) || self.minReplicas >= 1")
    .message("spec.autoscaling.minReplicas: at least 1, because nothing would hold the requests that wake a model without workers; to switch it off set spec.replicas: 0 in place of spec.autoscaling"))]
#[x_kube(validation = kube::core::Rule::new("(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas")
    .message("spec.autoscaling.maxReplicas: at least minReplicas: raise it, or lower minReplicas"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.fallbackReplicas) || ((has(self.minReplicas) ? self.minReplicas : 1) <= self.fallbackReplicas && self.fallbackReplicas <= self.maxReplicas)")
    .message("spec.autoscaling.fallbackReplicas: between minReplicas and maxReplicas"))]
#[x_kube(validation = kube::core::Rule::new("(has(self.provider) && self.provider == 'KEDA') == has(self.prometheusAddress)")
    .message("spec.autoscaling.prometheusAddress: KEDA reads the metrics there and needs it; remove it with provider HPA"))]
pub struct Autoscaling {
    /// The scaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ScalingProvider>,
    /// Fewest workers, 1 to 1000. 0 is refused, because nothing would hold the requests that wake a model without
    /// workers. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: Option<i32>,
    /// Most workers, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Metrics of the load, at most 4, each of a different type. The metric that asks for most workers decides.
    /// Default: a queue depth of 16 texts for each worker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub metrics: Vec<ScalingMetric>,
    /// How fast the number of workers may change. Default: the HorizontalPodAutoscaler's own, which scales up at once,
    /// and down to the highest number that the last 300 s asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<ScalingBehavior>,
    /// Fewest workers while the metrics are missing, between minReplicas and maxReplicas. With provider HPA the
    /// fallback begins after 60 s, and a larger number of workers stays. With KEDA it begins after three failed
    /// readings, and the number is exactly this one. Default: none, so that the number does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub fallback_replicas: Option<i32>,
    /// Address of the Prometheus that KEDA queries, `http://host[:port][/path]`; only with provider KEDA, which needs
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$"))]
    pub prometheus_address: Option<String>,
}

/// The scaler. Default HPA: a HorizontalPodAutoscaler over metrics that the operator serves itself. KEDA: a
/// ScaledObject over Prometheus, for clusters where KEDA is installed and owns the API of external metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ScalingProvider {
    /// The HorizontalPodAutoscaler.
    #[default]
    #[serde(rename = "HPA")]
    Hpa,
    /// KEDA.
    #[serde(rename = "KEDA")]
    Keda,
}

/// A metric of the load, and its target for each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingMetric {
    /// What is measured.
    pub r#type: ScalingMetricType,
    /// Target for one worker, averaged over all workers, 1 to 1000000: texts, requests, milliseconds or per cent.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub average_value: i32,
}

/// What is measured. QueueDepth: texts that wait for a forward pass. InFlightRequests: requests that were accepted and
/// not answered yet. QueueDelayMilliseconds: how long the texts that were answered since the last reading had waited.
/// DeviceBusyPercent: the share of the time since the last reading in which GPU or CPU worked on forward passes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    IntoStaticStr,
    VariantArray,
)]
pub enum ScalingMetricType {
    /// Texts that wait.
    QueueDepth,
    /// Requests that are not answered yet.
    InFlightRequests,
    /// Milliseconds of waiting.
    QueueDelayMilliseconds,
    /// Per cent of the device's time.
    DeviceBusyPercent,
}

impl ScalingMetricType {
    /// Every type.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The type as the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Name of the external metric that the operator serves: the sum over the model's workers.
    #[must_use]
    pub const fn external_name(self) -> &'static str {
        match self {
            Self::QueueDepth => "belfry_model_queue_depth",
            Self::InFlightRequests => "belfry_model_in_flight_requests",
            Self::QueueDelayMilliseconds => "belfry_model_queue_delay_milliseconds",
            Self::DeviceBusyPercent => "belfry_model_device_busy_percent",
        }
    }
}

/// How fast the number of workers may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingBehavior {
    /// Upwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Downwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast the number of workers may change in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// Seconds over which the recommendation with the smallest change counts, 0 to 3600. Default 0 upwards, 300
    /// downwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,
    /// Which of the policies applies. Default Max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<ScalingPolicySelect>,
    /// Bounds of one step, at most 4. Default: upwards 4 pods or 100 % in 15 s, downwards 100 % in 15 s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub policies: Vec<ScalingPolicy>,
}

/// Which of the policies applies: the one that allows most, the one that allows least, or none, which disables scaling
/// in this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ScalingPolicySelect {
    /// The one that allows most.
    Max,
    /// The one that allows least.
    Min,
    /// None: the number does not change in this direction.
    Disabled,
}

/// A bound of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// What the value counts.
    pub r#type: ScalingPolicyType,
    /// Most pods, or most per cent of the current number, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub value: i32,
    /// Seconds in which the number may change by the value, 1 to 1800.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// What the value of a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ScalingPolicyType {
    /// Pods.
    Pods,
    /// Per cent of the current number.
    Percent,
}
