//! Who decides how many workers there are.

use belfry_crds::InferenceModelStatus;
use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{
    Autoscaling, InferenceModelSpec, ScalingBehavior, ScalingMetric, ScalingMetricType, ScalingProvider,
};

use super::{Problem, ValidModel};

/// The scaler of a model, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidAutoscaling {
    /// Which scaler.
    pub scaler: Scaler,
    /// Fewest workers, at least 1.
    pub min_replicas: i32,
    /// Most workers.
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

impl ValidModel {
    /// The number of workers as the operator applies it; `None` where a scaler owns it.
    #[must_use]
    pub fn owned_replicas(&self) -> Option<i32> {
        self.autoscaling.is_none().then_some(self.replicas)
    }
}

/// The number of workers that the specification asks for, or that a scaler left behind.
pub(super) fn replicas(spec: &InferenceModelSpec, status: Option<&InferenceModelStatus>) -> i32 {
    let left_behind = status.and_then(|status| status.scaled_replicas);
    spec.replicas.or(left_behind).unwrap_or(defaults::REPLICAS)
}

/// Checks the scaler and applies its defaults.
///
/// # Errors
/// Bounds that contradict each other, or KEDA without an address.
pub fn autoscaling(spec: &InferenceModelSpec) -> Result<Option<ValidAutoscaling>, Vec<Problem>> {
    let Some(scaling) = &spec.autoscaling else { return Ok(None) };
    let min_replicas = scaling.min_replicas.unwrap_or(defaults::MIN_REPLICAS);
    if min_replicas < 1 || scaling.max_replicas < min_replicas {
        return Err(vec![Problem::new("spec.autoscaling", "1 ≤ minReplicas ≤ maxReplicas has to hold")]);
    }
    Ok(Some(ValidAutoscaling {
        scaler: scaler(scaling)?,
        min_replicas,
        max_replicas: scaling.max_replicas,
        metrics: metrics(&scaling.metrics),
        behavior: scaling.behavior.clone(),
        fallback_replicas: scaling.fallback_replicas,
    }))
}

fn scaler(scaling: &Autoscaling) -> Result<Scaler, Vec<Problem>> {
    match (scaling.provider.unwrap_or_default(), &scaling.prometheus_address) {
        (ScalingProvider::Hpa, _) => Ok(Scaler::Hpa),
        (ScalingProvider::Keda, Some(address)) => {
            Ok(Scaler::Keda { prometheus_address: address.trim_end_matches('/').to_owned() })
        }
        (ScalingProvider::Keda, None) => {
            Err(vec![Problem::new("spec.autoscaling.prometheusAddress", "KEDA reads the metrics there and needs it")])
        }
    }
}

fn metrics(metrics: &[ScalingMetric]) -> Vec<ScalingMetric> {
    if metrics.is_empty() {
        let average_value = defaults::SCALING_QUEUE_DEPTH;
        return vec![ScalingMetric { r#type: ScalingMetricType::QueueDepth, average_value }];
    }
    metrics.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(more: &serde_json::Value) -> InferenceModelSpec {
        let mut spec = json!({
            "task": "Embedding",
            "model": {"source": {"pvc": {"claimName": "c"}}},
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_scaler_without_metrics_keeps_the_queue_short() {
        let scaling = autoscaling(&spec(&json!({"autoscaling": {"maxReplicas": 4}}))).unwrap().unwrap();
        assert_eq!((scaling.min_replicas, scaling.max_replicas, scaling.scaler), (1, 4, Scaler::Hpa));
        let metric = scaling.metrics[0];
        assert_eq!((metric.r#type, metric.average_value), (ScalingMetricType::QueueDepth, 16));
    }

    #[test]
    fn what_a_scaler_left_behind_stays_until_the_specification_says_a_number() {
        let status = InferenceModelStatus { scaled_replicas: Some(7), ..Default::default() };
        assert_eq!(replicas(&spec(&json!({})), Some(&status)), 7);
        assert_eq!(replicas(&spec(&json!({"replicas": 2})), Some(&status)), 2);
        assert_eq!(replicas(&spec(&json!({})), None), 1);
    }

    #[test]
    fn bounds_that_contradict_each_other_are_a_problem() {
        for scaling in [json!({"maxReplicas": 1, "minReplicas": 2}), json!({"maxReplicas": 1, "minReplicas": 0})] {
            assert!(autoscaling(&spec(&json!({"autoscaling": scaling}))).is_err());
        }
    }
}
