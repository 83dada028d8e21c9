//! The memory of a GPU is nearly full.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, hold};
use crate::monitoring::gpu;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::SeriesOf;
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceGpuMemoryNearLimit",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "A pass that needs more memory than is left fails with all its requests.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// Only in the profile Full: a worker tries its largest batch before it is ready, so a full memory alone fails nothing.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let firings = vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0.95", gpu::worst(share(&SeriesOf::model(model)))),
        for_: Some("10m"),
        keep_firing_for: Some("5m"),
        labels: vec![],
        summary: format!("{} uses {{{{ $value | humanizePercentage }}}} of its memory", gpu::SUBJECT),
        description: None,
    }];
    gpu::only(model, firings)
}

fn share(series: &SeriesOf) -> String {
    format!("{} / {}", series.gauge(&metrics::GPU_MEMORY_USED), series.gauge(&metrics::GPU_MEMORY_TOTAL))
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For ten minutes, more than 95 % of a GPU's memory was not free. It counts what every process on the GPU holds, and what the driver keeps. \
            libtorch keeps what its largest batch needed."
            .into(),
        diagnosis: vec![
            query("Which GPU, and how full is it?", |series| gpu::worst(share(series))),
            query("How much of it are the weights?", |series| series.gauge(&metrics::MODEL_MEMORY).to_string()),
            query("Do passes fail?", |series| {
                series.counter(&metrics::REQUESTS).eq("reason", "inference_failed").increase("10m")
            }),
            runbook::pods(),
            gpu::info(),
        ],
        mitigation: vec![
            cause("Other processes share the GPU, and grow.", "Give the model a GPU of its own, or move one of them."),
            cause("The largest batch takes it.", "Lower `spec.runtime.batching.maxBatchTokens`."),
            cause("The weights fill most of it.", "Choose a smaller `spec.runtime.dtype`, or a GPU with more memory."),
            cause("No pass fails, and no other process is on the GPU.", "Nothing is to be done; `spec.observability.alerts` can switch this alert off."),
        ],
        resolves: "Five minutes after less than 95 % are in use.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, used: &[(&str, u32)]| {
        Case::new(name)
            .with(gpu::gauge(model, &metrics::GPU_MEMORY_TOTAL), hold(&[("1000", 160)]))
            .with(gpu::gauge(model, &metrics::GPU_MEMORY_USED), hold(used))
    };
    let near = gpu::rings(&[], "uses 97% of its memory");
    vec![
        story("fires when the memory is full for ten minutes, and resolves", &[("500", 20), ("970", 80), ("500", 60)])
            .quiet("14m45s")
            .fires("15m", std::slice::from_ref(&near))
            .fires("29m", &[near])
            .quiet("30m15s"),
        story("stays quiet on a batch of five minutes", &[("500", 20), ("990", 20), ("500", 120)])
            .quiet("9m45s")
            .quiet("16m"),
        story("stays quiet at 95 %", &[("950", 160)]).quiet("35m"),
        Case::new("stays quiet where no GPU is measured").quiet("20m"),
    ]
}
