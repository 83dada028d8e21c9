//! The CPU limit of workers holds them back.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow};
use crate::monitoring::example::{POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWorkerThrottled",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "Requests take longer than the node would make them.",
    severities: &[AlertSeverity::Info],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// A worker that computes on as many threads as its limit has cores is held back now and then; a quarter of the time is another thing.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let of = |counter| series.counter(counter).increase("5m");
    let share = format!("{} / {}", of(&metrics::CONTAINER_CPU_THROTTLED_PERIODS), of(&metrics::CONTAINER_CPU_PERIODS));
    vec![Firing {
        severity: AlertSeverity::Info,
        expr: format!("{} > 0.25", all("max", share)),
        for_: Some("15m"),
        keep_firing_for: Some("10m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: the CPU limit holds a pod back in {{ $value | humanizePercentage }} of the time that it would run"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For fifteen minutes, a pod of the model was held back by its CPU limit in more than a quarter of the stretches of time in which it wanted to run."
            .into(),
        diagnosis: vec![
            query("Which pod, and how much?", |series| {
                let of = |counter| series.counter(counter).increase("5m");
                format!("{} / {}", of(&metrics::CONTAINER_CPU_THROTTLED_PERIODS), of(&metrics::CONTAINER_CPU_PERIODS))
            }),
            query("Do requests wait meanwhile?", |series| all("max", series.gauge(&metrics::QUEUE_OLDEST_WAIT))),
            runbook::limits(),
        ],
        mitigation: vec![
            cause("`spec.runtime.threads` is larger than the limit.", "Leave it out: then the worker takes as many threads as the limit has cores."),
            cause("Requests are slow, and the node has cores to spare.", "Raise `spec.resources.limits.cpu`, or leave it out."),
            cause("Requests are as fast as they should be.", "Nothing is to be done; `spec.observability.alerts` can switch this alert off."),
        ],
        resolves: "Ten minutes after no pod is held back in more than a quarter of its time.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let story = |name: &'static str, a: &[(u32, u32)], b: &[(u32, u32)]| {
        [(POD_A, a), (POD_B, b)].into_iter().fold(Case::new(name), |case, (pod, throttled)| {
            case.with(series.counter(&metrics::CONTAINER_CPU_PERIODS).eq("pod", pod), grow(&[(100, 240)]))
                .with(series.counter(&metrics::CONTAINER_CPU_THROTTLED_PERIODS).eq("pod", pod), grow(throttled))
        })
    };
    let half = expected(&[], "search/minilm: the CPU limit holds a pod back in 50% of the time that it would run");
    vec![
        story(
            "fires when one pod is held back for long, and resolves ten minutes after",
            &[(0, 20), (50, 120), (0, 100)],
            &[(0, 240)],
        )
        .quiet("20m")
        .fires("25m", std::slice::from_ref(&half))
        .fires("34m", &[half])
        .quiet("50m"),
        story("stays quiet on a burst of ten minutes", &[(0, 20), (90, 40), (0, 180)], &[(0, 240)])
            .quiet("18m")
            .quiet("25m"),
        story("stays quiet at a fifth", &[(20, 240)], &[(20, 240)]).quiet("40m"),
        Case::new("stays quiet where there is no limit").quiet("30m"),
    ]
}
