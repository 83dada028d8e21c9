//! The number of workers follows nothing any more.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, shell};
use crate::monitoring::series::condition;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceAutoscalerBlind",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "Replicas do not follow the load.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// Only a model with a scaler has it. The operator knows each reason for which a scaler can't work.
fn rules(model: &ValidModel) -> Vec<Firing> {
    if model.autoscaling.is_none() {
        return vec![];
    }
    let broken = condition(&SeriesOf::model(model), ConditionType::ScalingReady, ConditionStatus::False);
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} == 1", by("max", &["reason"], broken)),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: the autoscaler can't work: {{ $labels.reason }}".into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For ten minutes the condition ScalingReady has been False: the scaler is refused, has no metrics, or is in another's way. The number of \
            replicas stays, or is `spec.autoscaling.fallbackReplicas`."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("What does the scaler say?", "kubectl -n \"$NAMESPACE\" describe horizontalpodautoscalers"),
            shell("With KEDA:", "kubectl -n \"$NAMESPACE\" describe scaledobjects"),
            runbook::replicas(),
        ],
        mitigation: vec![
            cause("`MetricsMissing`.", "No worker answers on its metrics: look at the pods, and at network policies between the operator and them."),
            cause("`ExternalMetricsUnavailable`.", "Another program serves external metrics, or the chart's value `externalMetrics.enabled` is off: the message says which."),
            cause("`ForeignScaler`.", "Another HorizontalPodAutoscaler scales the same pods: delete it, or remove `spec.autoscaling`."),
            cause("`CustomResourceDefinitionMissing`.", "Install KEDA, or set `spec.autoscaling.provider`."),
            cause("Load grows meanwhile.", "Set the number by hand: raise `spec.autoscaling.minReplicas`."),
        ],
        resolves: "As soon as the condition ScalingReady is no longer False.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let is = |status, reason| example::condition(model, ["ScalingReady", status, reason]);
    let blind = expected(&[("reason", "MetricsMissing")], "search/minilm: the autoscaler can't work: MetricsMissing");
    vec![
        Case::new("fires after ten minutes without metrics, and resolves when they are back")
            .with(is("True", "ScalerActive"), hold(&[("1", 20), ("stale", 1), ("_", 79), ("1", 20)]))
            .with(is("False", "MetricsMissing"), hold(&[("_", 20), ("1", 80), ("stale", 1)]))
            .quiet("14m45s")
            .fires("15m", std::slice::from_ref(&blind))
            .fires("24m45s", &[blind])
            .quiet("25m15s"),
        Case::new("stays quiet while workers restart")
            .with(is("False", "MetricsMissing"), hold(&[("1", 32), ("stale", 1)]))
            .quiet("7m")
            .quiet("12m"),
        Case::new("stays quiet while the scaler has not looked yet")
            .with(is("Unknown", "Pending"), hold(&[("1", 80)]))
            .quiet("15m"),
    ]
}
