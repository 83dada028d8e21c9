//! `spec.autoscaling`, with defaults applied.

use belfry_crds::inference_model::{ScalingBehavior, ScalingMetric};

/// The scaler of a model, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidAutoscaling {
    /// Which scaler.
    pub scaler: Scaler,
    /// Minimum number of workers, at least 1.
    pub min_replicas: i32,
    /// Maximum number of workers, at least `min_replicas`.
    pub max_replicas: i32,
    /// Metrics that the scaler follows; at least one.
    pub metrics: Vec<ScalingMetric>,
    /// Limits on how fast the number may change.
    pub behavior: Option<ScalingBehavior>,
    /// Minimum number of workers while the metrics are missing.
    pub fallback_replicas: Option<i32>,
}

/// The kind of scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaler {
    /// A HorizontalPodAutoscaler over the operator's external metrics.
    Hpa,
    /// KEDA, which queries the Prometheus at this address.
    Keda {
        /// Address of Prometheus.
        prometheus_address: String,
    },
}

impl ValidAutoscaling {
    /// The nearest number that the scaler may choose.
    #[must_use]
    pub fn clamp(&self, replicas: i32) -> i32 {
        replicas.clamp(self.min_replicas, self.max_replicas.max(self.min_replicas))
    }
}
