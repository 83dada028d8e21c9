//! `spec.autoscaling`, with defaults applied.

use crate::engine::ScalingSeries;
use crate::model::{Scaler, ValidAutoscaling, ValidEngine};
use crate::problem::Problem;
use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Autoscaling, ScalingMetric, ScalingMetricType, ScalingProvider};

/// Checks the scaler and applies its defaults.
///
/// # Errors
/// Bounds that contradict each other, KEDA without an address, or metrics that the engine does not have.
pub(super) fn autoscaling(
    spec: Option<&Autoscaling>,
    engine: Option<&ValidEngine>,
) -> Result<Option<ValidAutoscaling>, Vec<Problem>> {
    let Some(spec) = spec else { return Ok(None) };
    let min_replicas = spec.min_replicas.unwrap_or(defaults::MIN_REPLICAS);
    if min_replicas < 1 || spec.max_replicas < min_replicas {
        return Err(vec![Problem::new("spec.autoscaling", "set them so that 1 ≤ minReplicas ≤ maxReplicas")]);
    }
    let metrics = metrics(&spec.metrics);
    let series = ScalingSeries::of(engine.map(|engine| engine.mappings.as_slice()));
    let unknown: Vec<_> = metrics.iter().filter(|metric| !series.offers(metric.r#type)).map(unreadable).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    Ok(Some(ValidAutoscaling {
        scaler: scaler(spec)?,
        min_replicas,
        max_replicas: spec.max_replicas,
        metrics,
        behavior: spec.behavior.clone(),
        fallback_replicas: spec.fallback_replicas,
    }))
}

fn unreadable(metric: &ScalingMetric) -> Problem {
    let needs = match metric.r#type {
        ScalingMetricType::QueueDepth => "inference_queue_depth",
        ScalingMetricType::InFlightRequests => "inference_active_requests",
        ScalingMetricType::QueueDelayMilliseconds => {
            "inference_request_duration_seconds of the phase queue, and inference_queue_depth"
        }
        ScalingMetricType::DeviceBusyPercent => "inference_device_busy_seconds_total",
    };
    let type_ = metric.r#type.as_str();
    let message = format!("the engine has no {type_}: choose another type, or map {needs} in spec.engine.metrics");
    Problem::new("spec.autoscaling.metrics", message)
}

fn scaler(scaling: &Autoscaling) -> Result<Scaler, Vec<Problem>> {
    match (scaling.provider.unwrap_or_default(), &scaling.prometheus_address) {
        (ScalingProvider::Hpa, _) => Ok(Scaler::Hpa),
        (ScalingProvider::Keda, Some(address)) => {
            Ok(Scaler::Keda { prometheus_address: address.trim_end_matches('/').to_owned() })
        }
        (ScalingProvider::Keda, None) => Err(vec![Problem::new(
            "spec.autoscaling.prometheusAddress",
            "KEDA reads the metrics from this address: set it",
        )]),
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
    use belfry_crds::inference_model::Engine;
    use belfry_crds::{InferenceModel, InferenceModelStatus};
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::Settings;
    use crate::validate::validate;

    fn autoscaling_of(spec: Value) -> Result<ValidAutoscaling, Vec<Problem>> {
        autoscaling(Some(&serde_json::from_value(spec).unwrap()), None).map(Option::unwrap)
    }

    fn replicas(more: Value, left_behind: Option<i32>) -> (i32, Option<i32>) {
        let mut spec = json!({"task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut model = InferenceModel::new("m", serde_json::from_value(spec).unwrap());
        model.status = Some(InferenceModelStatus { scaled_replicas: left_behind, ..Default::default() });
        let valid = validate(&model, &Settings::default()).unwrap();
        (valid.replicas, valid.owned_replicas())
    }

    #[test]
    fn a_scaler_without_metrics_keeps_the_queue_short() {
        let scaling = autoscaling_of(json!({"maxReplicas": 4})).unwrap();
        assert_eq!((scaling.min_replicas, scaling.max_replicas, scaling.scaler), (1, 4, Scaler::Hpa));
        let metric = scaling.metrics[0];
        assert_eq!((metric.r#type, metric.average_value), (ScalingMetricType::QueueDepth, 16));
    }

    #[test]
    fn what_a_scaler_left_behind_stays_until_the_specification_says_a_number() {
        assert_eq!(replicas(json!({}), Some(7)), (7, Some(7)));
        assert_eq!(replicas(json!({"replicas": 2}), Some(7)), (2, Some(2)));
        assert_eq!(replicas(json!({}), None), (1, Some(1)));
    }

    #[test]
    fn the_number_is_the_scalers_alone_unless_the_model_is_suspended() {
        let scaled = json!({"maxReplicas": 4});
        assert_eq!(replicas(json!({"autoscaling": scaled}), Some(3)).1, None);
        assert_eq!(replicas(json!({"autoscaling": scaled, "suspend": true}), Some(3)).1, Some(0));
    }

    #[test]
    fn bounds_that_contradict_each_other_are_a_problem() {
        for scaling in [json!({"maxReplicas": 1, "minReplicas": 2}), json!({"maxReplicas": 1, "minReplicas": 0})] {
            assert!(autoscaling_of(scaling).is_err());
        }
    }

    #[test]
    fn a_metric_that_the_engine_does_not_have_is_a_problem_that_names_the_cure() {
        let engine: Engine = serde_json::from_value(json!({"type": "LlamaCpp", "image": "l:1"})).unwrap();
        let metrics = json!([{"type": "QueueDelayMilliseconds", "averageValue": 100}]);
        let spec = serde_json::from_value(json!({"maxReplicas": 2, "metrics": metrics})).unwrap();
        let problems = autoscaling(Some(&spec), Some(&crate::validate::engine::engine(&engine))).unwrap_err();
        assert_eq!(problems[0].field, "spec.autoscaling.metrics");
        assert!(problems[0].message.contains("inference_request_duration_seconds"), "{}", problems[0].message);
    }
}
