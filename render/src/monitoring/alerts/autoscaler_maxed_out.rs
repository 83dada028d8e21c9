//! The autoscaler has reached its maximum, and requests still wait.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::{self, POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::overload;
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{Runbook, cause};
use crate::monitoring::series::replicas;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceAutoscalerMaxedOut",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "More load can't be met by more replicas: requests wait, and later they are refused.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// At its maximum a scaler may be just right. It is too low if texts wait all the time, one for each replica on average.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let Some(scaling) = model.autoscaling.as_ref().filter(|scaling| scaling.max_replicas > scaling.min_replicas) else {
        return vec![];
    };
    let series = SeriesOf::model(model);
    let wanted = all("max", replicas(&series, "desired").over_time("last", "5m"));
    let waiting = all("avg", series.gauge(&metrics::QUEUE_DEPTH).over_time("avg", "10m"));
    let most = scaling.max_replicas;
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{wanted} >= {most} and {waiting} > 1"),
        for_: Some("15m"),
        keep_firing_for: Some("5m"),
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: the autoscaler has reached its maximum of {most}, and requests wait"
        ),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For fifteen minutes the autoscaler has asked for as many replicas as `spec.autoscaling.maxReplicas` allows, and texts have waited all the time."
            .into(),
        diagnosis: overload::diagnosis(),
        mitigation: std::iter::once(cause(
            "The load is real, and the cluster has room.",
            "Raise `spec.autoscaling.maxReplicas`.",
        ))
        .chain(overload::cures())
        .collect(),
        resolves: "Five minutes after fewer replicas are wanted, or nothing waits any more.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let depth = |pod| SeriesOf::model(model).gauge(&metrics::QUEUE_DEPTH).eq("pod", pod);
    let story = |name: &'static str, desired: &[(&str, u32)], waiting: &[(&str, u32)]| {
        Case::new(name)
            .with(example::replicas(model, "desired"), hold(desired))
            .with(depth(POD_A), hold(waiting))
            .with(depth(POD_B), hold(waiting))
    };
    let most = expected(&[], "search/minilm: the autoscaler has reached its maximum of 10, and requests wait");
    vec![
        story(
            "fires when texts wait at the maximum, and resolves five minutes after load falls",
            &[("4", 20), ("10", 120), ("6", 60)],
            &[("0", 20), ("8", 120), ("0", 60)],
        )
        .quiet("15m")
        .fires("25m", std::slice::from_ref(&most))
        .fires("34m", &[most])
        .quiet("41m"),
        story("stays quiet at the maximum when nothing waits", &[("10", 160)], &[("0", 160)]).quiet("35m"),
        story("stays quiet below the maximum", &[("9", 160)], &[("8", 160)]).quiet("35m"),
    ]
}
