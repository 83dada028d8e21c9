//! ScaledObject of KEDA, as far as Belfry writes it. As in [`crate::monitoring`], no CRD is generated from here.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// A scaled Deployment, and the metrics that scale it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledObject",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// The scaled Deployment.
    pub scale_target_ref: ScaleTarget,
    /// Fewest replicas.
    pub min_replica_count: i32,
    /// Most replicas.
    pub max_replica_count: i32,
    /// The number of replicas while the metrics are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Settings that KEDA passes on to its HorizontalPodAutoscaler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advanced: Option<Advanced>,
    /// The metrics.
    pub triggers: Vec<Trigger>,
}

/// A Deployment in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScaleTarget {
    /// Name of the Deployment.
    pub name: String,
}

/// The number of replicas while the metrics are missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Failed readings in a row after which the fallback applies.
    pub failure_threshold: i32,
    /// The number of replicas.
    pub replicas: i32,
}

/// Settings that KEDA passes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// Settings of the HorizontalPodAutoscaler.
    pub horizontal_pod_autoscaler_config: HorizontalPodAutoscalerConfig,
}

/// Settings of the HorizontalPodAutoscaler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HorizontalPodAutoscalerConfig {
    /// How fast the number of replicas may change.
    pub behavior: HorizontalPodAutoscalerBehavior,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// The scaler: `prometheus`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Name, unique within the object.
    pub name: String,
    /// `AverageValue`: the threshold is for each replica.
    pub metric_type: String,
    /// Settings of the scaler, as text.
    pub metadata: BTreeMap<String, String>,
}
