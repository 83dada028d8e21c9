//! Queues are nearly full: soon requests are refused.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::overload;
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::Runbook;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceQueueSaturated",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "Callers wait; when the queue is full they are refused with 429.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// One full pod refuses its share of the requests although the others have room, so pods are not added up.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let fill = format!("{} / {}", series.gauge(&metrics::QUEUE_DEPTH), series.gauge(&metrics::QUEUE_CAPACITY));
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0.8", all("max", fill)),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary:
            "{{ $labels.namespace }}/{{ $labels.model }}: the queue of a pod is {{ $value | humanizePercentage }} full"
                .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The queue of at least one replica has been more than 80 % full for five minutes: this is no burst."
            .into(),
        diagnosis: overload::diagnosis(),
        mitigation: overload::cures(),
        resolves: "Two minutes after less than 80 % of every queue is taken.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, a: &[(&str, u32)], b: &[(&str, u32)]| {
        example::filled(
            Case::new(name),
            model,
            (&metrics::QUEUE_DEPTH, [a, b]),
            (&metrics::QUEUE_CAPACITY, &[("1000", 80)]),
        )
    };
    let full = expected(&[], "search/minilm: the queue of a pod is 95% full");
    vec![
        story(
            "fires after five minutes, and resolves two minutes after the queues drain",
            &[("0", 20), ("900", 40), ("0", 20)],
            &[("10", 20), ("950", 40), ("10", 20)],
        )
        .quiet("9m45s")
        .fires("10m", std::slice::from_ref(&full))
        .fires("16m", std::slice::from_ref(&full))
        .quiet("17m"),
        story("stays quiet on a burst of four minutes", &[("1000", 16), ("0", 64)], &[("1000", 16), ("0", 64)])
            .quiet("3m45s")
            .quiet("6m"),
        story("fires when one replica is full and the other empty", &[("950", 80)], &[("0", 80)])
            .fires("10m", std::slice::from_ref(&full)),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
    ]
}
