//! Who decides how many workers there are.

use belfry_crds::inference_model::{ScalingBehavior, ScalingMetric};

/// The scaler of a model, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidAutoscaling {
    /// Which scaler.
    pub scaler: Scaler,
    /// Fewest workers, at least 1.
    pub min_replicas: i32,
    /// Most workers, at least `min_replicas`.
    pub max_replicas: i32,
    /// What the workers have to do; at least one.
    pub metrics: Vec<ScalingMetric>,
    /// How fast the number may move.
    pub behavior: Option<ScalingBehavior>,
    /// Fewest workers while the metrics are missing.
    pub fallback_replicas: Option<i32>,
}

/// Who scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaler {
    /// A HorizontalPodAutoscaler over the operator's external metrics.
    Hpa,
    /// KEDA, which asks the Prometheus at that address.
    Keda {
        /// Address of Prometheus.
        prometheus_address: String,
    },
}

impl ValidAutoscaling {
    /// The number nearest to this one that the scaler may choose.
    #[must_use]
    pub fn clamp(&self, replicas: i32) -> i32 {
        replicas.clamp(self.min_replicas, self.max_replicas.max(self.min_replicas))
    }
}
