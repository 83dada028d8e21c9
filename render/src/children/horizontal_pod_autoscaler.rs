//! The HorizontalPodAutoscaler, which follows the external metrics that the operator serves.

use std::collections::BTreeMap;

use belfry_crds::contract::MODEL_LABEL;
use belfry_crds::inference_model::{
    ScalingBehavior, ScalingMetric, ScalingPolicySelect, ScalingPolicyType, ScalingRules,
};
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::metadata::{Component, object_meta};
use crate::model::{Scaler, ValidModel};

/// The HorizontalPodAutoscaler of a model, if its scaler is `Hpa`.
#[must_use]
pub fn horizontal_pod_autoscaler(model: &ValidModel) -> Option<HorizontalPodAutoscaler> {
    let scaling = model.autoscaling.as_ref().filter(|scaling| scaling.scaler == Scaler::Hpa)?;
    Some(HorizontalPodAutoscaler {
        metadata: object_meta(model, Component::Worker),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: model.name.clone(),
            },
            min_replicas: Some(scaling.min_replicas),
            max_replicas: scaling.max_replicas,
            metrics: Some(scaling.metrics.iter().map(|metric| external(model, *metric)).collect()),
            behavior: scaling.behavior.as_ref().and_then(behavior),
        }),
        ..Default::default()
    })
}

/// The operator answers with the sum over the workers. The HorizontalPodAutoscaler divides it by their number.
fn external(model: &ValidModel, metric: ScalingMetric) -> MetricSpec {
    MetricSpec {
        type_: "External".into(),
        external: Some(ExternalMetricSource {
            metric: MetricIdentifier {
                name: metric.r#type.external_name().into(),
                selector: Some(LabelSelector {
                    match_labels: Some(BTreeMap::from([(MODEL_LABEL.to_owned(), model.name.clone())])),
                    ..Default::default()
                }),
            },
            target: MetricTarget {
                type_: "AverageValue".into(),
                average_value: Some(quantity(metric.average_value)),
                ..Default::default()
            },
        }),
        ..Default::default()
    }
}

/// A number as the API server writes it. In another spelling, it would look edited after a restart of the operator.
fn quantity(number: i32) -> Quantity {
    Quantity(match number {
        n if n % 1_000_000 == 0 => format!("{}M", n / 1_000_000),
        n if n % 1000 == 0 => format!("{}k", n / 1000),
        n => n.to_string(),
    })
}

/// Limits on how fast the number may change; `None` if the specification sets none.
pub(super) fn behavior(behavior: &ScalingBehavior) -> Option<HorizontalPodAutoscalerBehavior> {
    let (scale_up, scale_down) =
        (behavior.scale_up.as_ref().and_then(rules), behavior.scale_down.as_ref().and_then(rules));
    (scale_up.is_some() || scale_down.is_some()).then_some(HorizontalPodAutoscalerBehavior { scale_up, scale_down })
}

fn rules(rules: &ScalingRules) -> Option<HPAScalingRules> {
    let policies: Vec<_> = rules
        .policies
        .iter()
        .map(|policy| HPAScalingPolicy {
            type_: match policy.r#type {
                ScalingPolicyType::Pods => "Pods".into(),
                ScalingPolicyType::Percent => "Percent".into(),
            },
            value: policy.value,
            period_seconds: policy.period_seconds,
        })
        .collect();
    (*rules != ScalingRules::default()).then(|| HPAScalingRules {
        stabilization_window_seconds: rules.stabilization_window_seconds,
        select_policy: rules.select_policy.map(|select| match select {
            ScalingPolicySelect::Max => "Max".into(),
            ScalingPolicySelect::Min => "Min".into(),
            ScalingPolicySelect::Disabled => "Disabled".into(),
        }),
        policies: (!policies.is_empty()).then_some(policies),
        tolerance: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_api_server_writes_them() {
        for (number, text) in [(1, "1"), (999, "999"), (1000, "1k"), (1500, "1500"), (20_000, "20k"), (1_000_000, "1M")]
        {
            assert_eq!(quantity(number).0, text);
        }
    }
}
