//! A worker is about to be killed for want of memory.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::{self, POD_A};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceMemoryNearLimit",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "A pod that reaches its limit is killed, with all requests that it holds.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// The worst pod counts. Both series come from the same pod, and have no other labels.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let share =
        format!("{} / {}", series.gauge(&metrics::CONTAINER_MEMORY), series.gauge(&metrics::CONTAINER_MEMORY_LIMIT));
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0.9", all("max", share)),
        for_: Some("10m"),
        keep_firing_for: Some("5m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: a pod uses {{ $value | humanizePercentage }} of its memory limit".into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For ten minutes, a pod of the model has used more than 90 % of its memory limit, without the file pages that the kernel can \
            take back at once. At 100 % the kernel kills it."
            .into(),
        diagnosis: vec![
            query("Which pod, and how much of its limit does it use?", |series| {
                format!("{} / {}", series.gauge(&metrics::CONTAINER_MEMORY), series.gauge(&metrics::CONTAINER_MEMORY_LIMIT))
            }),
            query("How much of it are the weights?", |series| series.gauge(&metrics::MODEL_MEMORY).to_string()),
            query("Has the kernel already taken memory back, or killed something?", |series| {
                series.counter(&metrics::CONTAINER_MEMORY_EVENTS).increase("1h")
            }),
            query("How large are the batches?", |series| {
                format!("histogram_quantile(0.99, sum by (le) ({}))", series.buckets(&metrics::BATCH_TOKENS).rate("10m"))
            }),
            runbook::limits(),
        ],
        mitigation: vec![
            cause("The weights fill most of the limit.", "Raise `spec.resources.limits.memory`, or choose a smaller `spec.runtime.dtype`."),
            cause("Memory follows the size of the batches.", "Lower `spec.runtime.batching.maxBatchTokens`, or raise the limit."),
            cause("Memory only grows, whatever the requests.", "Delete the pod that is nearest to its limit at a quiet time, and report the growth with this panel."),
        ],
        resolves: "Five minutes after every pod uses less than 90 % of its limit.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let story = |name: &'static str, a: &[(&str, u32)], b: &[(&str, u32)]| {
        example::filled(
            Case::new(name),
            model,
            (&metrics::CONTAINER_MEMORY, [a, b]),
            (&metrics::CONTAINER_MEMORY_LIMIT, &[("1000", 160)]),
        )
    };
    let near = expected(&[], "search/minilm: a pod uses 95% of its memory limit");
    vec![
        story(
            "fires ten minutes after one pod comes near its limit, and resolves five minutes after it is replaced",
            &[("500", 20), ("950", 80), ("500", 60)],
            &[("500", 160)],
        )
        .quiet("14m45s")
        .fires("15m", std::slice::from_ref(&near))
        .fires("29m", std::slice::from_ref(&near))
        .quiet("30m15s"),
        story(
            "stays quiet when a large batch takes it there for five minutes",
            &[("500", 20), ("990", 20), ("500", 120)],
            &[("500", 160)],
        )
        .quiet("9m45s")
        .quiet("16m"),
        story("stays quiet at nine tenths", &[("900", 160)], &[("899", 160)]).quiet("35m"),
        Case::new("stays quiet where there is no limit")
            .with(series.gauge(&metrics::CONTAINER_MEMORY).eq("pod", POD_A), hold(&[("1000", 80)]))
            .quiet("15m"),
    ]
}
