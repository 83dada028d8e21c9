//! The ScaledObject of KEDA, which follows the workers' series in Prometheus.

use std::collections::BTreeMap;

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{ScalingMetric, ScalingMetricType};
use belfry_crds::keda::{
    Advanced, Fallback, HorizontalPodAutoscalerConfig, ScaleTarget, ScaledObject, ScaledObjectSpec, Trigger,
};

use super::horizontal_pod_autoscaler::behavior;
use super::metadata::{Component, object_meta};
use crate::model::{Scaler, ValidModel};
use crate::monitoring::promql::SeriesOf;

/// Failed queries in a row after which the fallback applies. KEDA queries every 30 s.
const FAILURES: i32 = 3;

/// Window of rates: a few scrapes at the longest interval.
const WINDOW: &str = "1m";

/// The ScaledObject of a model, if its scaler is `Keda`.
#[must_use]
pub fn scaled_object(model: &ValidModel) -> Option<ScaledObject> {
    let scaling = model.autoscaling.as_ref()?;
    let Scaler::Keda { prometheus_address } = &scaling.scaler else { return None };
    let behavior = scaling.behavior.as_ref().and_then(behavior);
    Some(ScaledObject {
        metadata: object_meta(model, Component::Worker),
        spec: ScaledObjectSpec {
            scale_target_ref: ScaleTarget { name: model.name.clone() },
            min_replica_count: scaling.min_replicas,
            max_replica_count: scaling.max_replicas,
            fallback: scaling.fallback_replicas.map(|replicas| Fallback { failure_threshold: FAILURES, replicas }),
            advanced: behavior.map(|behavior| Advanced {
                horizontal_pod_autoscaler_config: HorizontalPodAutoscalerConfig { behavior },
            }),
            triggers: scaling.metrics.iter().map(|metric| trigger(model, *metric, prometheus_address)).collect(),
        },
    })
}

fn trigger(model: &ValidModel, metric: ScalingMetric, prometheus_address: &str) -> Trigger {
    Trigger {
        type_: "prometheus".into(),
        name: metric.r#type.external_name().replace('_', "-"),
        metric_type: "AverageValue".into(),
        metadata: BTreeMap::from([
            ("serverAddress".to_owned(), prometheus_address.to_owned()),
            ("query".to_owned(), query(model, metric.r#type)),
            ("threshold".to_owned(), metric.average_value.to_string()),
            // Otherwise a Prometheus without the workers' series would look like workers without load.
            ("ignoreNullValues".to_owned(), "false".to_owned()),
        ]),
    }
}

/// The sum over the workers, as in the operator's own external metrics; no value if Prometheus has no worker's series.
fn query(model: &ValidModel, type_: ScalingMetricType) -> String {
    let series = SeriesOf::model(model);
    let depth = format!("sum({})", series.gauge(&metrics::QUEUE_DEPTH));
    match type_ {
        ScalingMetricType::QueueDepth => depth,
        ScalingMetricType::InFlightRequests => format!("sum({})", series.gauge(&metrics::ACTIVE_REQUESTS)),
        ScalingMetricType::QueueDelayMilliseconds => {
            let duration = &metrics::REQUEST_DURATION;
            let waited = series.sum(duration).eq("phase", "queue").rate(WINDOW);
            let answered = series.count(duration).eq("phase", "queue").rate(WINDOW);
            // A worker that answered no request would give 0 / 0. If no worker answered any, only an empty queue means no delay.
            format!("1000 * sum({waited} / ({answered} > 0)) or 0 * ({depth} == 0)")
        }
        ScalingMetricType::DeviceBusyPercent => {
            format!("100 * sum({})", series.counter(&metrics::DEVICE_BUSY).rate(WINDOW))
        }
    }
}
