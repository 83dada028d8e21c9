//! Containers end again and again, and run long enough between to be no crash loop.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query};
use crate::monitoring::series::waiting;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWorkerRestarts",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "Each end takes the requests that the worker holds with it.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// Of two operators each has counted what it saw. Rounded, because `increase` extrapolates. A crash loop has an alert of its own.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let restarts = series.counter(&metrics::MODEL_RESTARTS).increase("1h");
    let looping = waiting(&series).eq("reason", "CrashLoopBackOff").over_time("max", "30m");
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("round({}) > 3 unless {} > 0", all("max", restarts), all("max", looping)),
        for_: None,
        keep_firing_for: Some("10m"),
        labels: vec![],
        summary:
            "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanize }} restarts of workers within an hour"
                .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "Within an hour the kubelet started workers of the model again more than three times.".into(),
        diagnosis: [
            runbook::ends().to_vec(),
            vec![
                query("How near do they come to their memory limit?", |series| {
                    format!(
                        "{} / {}",
                        series.gauge(&metrics::CONTAINER_MEMORY),
                        series.gauge(&metrics::CONTAINER_MEMORY_LIMIT)
                    )
                }),
                query("When did they restart?", |series| {
                    all("max", series.counter(&metrics::MODEL_RESTARTS).increase("5m"))
                }),
            ],
        ]
        .concat(),
        mitigation: [
            runbook::kills().to_vec(),
            vec![
                cause("Exit code 132, 134 or 139.", "libtorch crashed. If all of them are on one node, cordon it."),
                cause(
                    "They end at the times at which the node is drained or replaced.",
                    "That is no fault of the model: raise `spec.replicas`, so that others carry its share.",
                ),
            ],
        ]
        .concat(),
        resolves: "Ten minutes after fewer than four restarts lie within an hour.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let restarts = SeriesOf::model(model).counter(&metrics::MODEL_RESTARTS);
    let four = expected(&[], "search/minilm: 4 restarts of workers within an hour");
    vec![
        Case::new("fires with the fourth restart within an hour, and resolves when they lie behind")
            .with(
                restarts.clone(),
                grow(&[(0, 241), (1, 1), (0, 39), (1, 1), (0, 39), (1, 1), (0, 39), (1, 1), (0, 400)]),
            )
            .quiet("1h30m")
            .fires("1h31m", std::slice::from_ref(&four))
            .fires("1h59m", &[four])
            .quiet("2h15m"),
        Case::new("leaves a crash loop to another alert")
            .with(
                restarts.clone(),
                grow(&[(0, 241), (1, 1), (0, 9), (1, 1), (0, 19), (1, 1), (0, 39), (1, 1), (0, 100)]),
            )
            .with(example::waiting(model, "CrashLoopBackOff"), hold(&[("0", 242), ("1", 160)]))
            .quiet("1h20m")
            .quiet("1h40m"),
        Case::new("stays quiet on one restart an hour")
            .with(restarts, grow(&[(0, 241), (1, 1), (0, 239), (1, 1), (0, 239), (1, 1), (0, 100)]))
            .quiet("2h")
            .quiet("3h20m"),
    ]
}
