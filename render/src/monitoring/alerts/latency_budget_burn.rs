//! Slow answers spend the budget too fast.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::{ValidIndicator, ValidModel};
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::burn_rate;
use crate::monitoring::case::{Case, grow, hold};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{Record, SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceLatencyBudgetBurn",
    category: Category::Objective,
    component: AlertComponent::Worker,
    impact: "More callers wait longer than the objective allows.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    burn_rate::firings(model, |indicator| match indicator {
        ValidIndicator::Availability => None,
        ValidIndicator::Latency { threshold, .. } => Some(format!("took longer than {threshold}")),
    })
}

fn runbook() -> Runbook {
    let phase = |series: &SeriesOf, phase: &str| {
        let seconds = series.sum(&metrics::REQUEST_DURATION).eq("phase", phase).rate("5m");
        let requests = series.count(&metrics::REQUEST_DURATION).eq("phase", phase).rate("5m");
        format!("{} / {}", by("sum", &["pod"], seconds), by("sum", &["pod"], requests))
    };
    Runbook {
        meaning: burn_rate::meaning(),
        diagnosis: vec![
            query("How long do requests wait in the queue, in seconds?", |series| phase(series, "queue")),
            query("How long do they compute?", |series| phase(series, "inference")),
            query("How much is queued, of how much?", |series| {
                format!(
                    "{} / {}",
                    by("sum", &["pod"], series.gauge(&metrics::QUEUE_DEPTH)),
                    by("sum", &["pod"], series.gauge(&metrics::QUEUE_CAPACITY))
                )
            }),
            query("How many tokens go through each pod in a second?", |series| {
                by("sum", &["pod"], series.counter(&metrics::TOKENS).rate("5m"))
            }),
            runbook::pods(),
        ],
        mitigation: vec![
            cause(
                "The queue is what takes long.",
                "The model has more to do than it can: raise `spec.replicas`, or find the caller whose traffic grew.",
            ),
            cause(
                "Inference is what takes long, on one pod.",
                "Its node is busy or throttled: delete the pod, cordon the node.",
            ),
            cause(
                "Inference is what takes long, everywhere, and tokens per second are as before.",
                "Texts became longer or batches larger: lower `spec.runtime.batching.maxBatchTokens`, or give the workers more CPU.",
            ),
            cause("It began with a change of the InferenceModel.", "Apply the previous specification."),
        ],
        resolves: burn_rate::resolves(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let slow = |share: &str, pairs| burn_rate::expected(["latency", "95%", "took longer than 250ms"], share, pairs);
    let all = |name: &'static str, values: String| {
        let count = SeriesOf::model(model).count(&metrics::REQUEST_DURATION).eq("phase", "total").eq("pod", POD_A);
        Case::new(name).with(count, values)
    };
    let fast = |case: Case, values: String| {
        let bucket =
            SeriesOf::model(model).bucket(&metrics::REQUEST_DURATION, 0.25).eq("phase", "total").eq("pod", POD_A);
        case.with(bucket, values)
    };
    let pages = |long: &'static str| burn_rate::count("InferenceLatencyBudgetBurn", "long", long, model);
    vec![
        fast(
            all("fires on all pairs when everything has been slow from the start", grow(&[(150, 60)])),
            grow(&[(0, 60)]),
        )
        .fires("10m", &slow("100%", 0..4)),
        fast(all("warns when a tenth is slow", grow(&[(150, 60)])), grow(&[(135, 60)]))
            .fires("10m", &slow("10%", 3..4)),
        fast(
            all("resolves within ten minutes after the last slow answer", grow(&[(150, 240)])),
            grow(&[(0, 160), (150, 80)]),
        )
        .value("40m", pages("1h"), Some(("{}", 1.0)))
        .value("50m15s", pages("1h"), None),
        fast(all("stays quiet when fewer are slow than the objective allows", grow(&[(150, 80)])), grow(&[(147, 80)]))
            .quiet("10m")
            .quiet("19m"),
        fast(
            all("stays quiet when four requests of a quiet model are slow", hold(&[("0", 20), ("4", 60)])),
            hold(&[("0", 80)]),
        )
        .quiet("6m")
        .quiet("15m"),
        all(
            "records nothing when the bucket is missing, so that it does not read as an objective that is met",
            grow(&[(150, 60)]),
        )
        .quiet("10m")
        .value("10m", burn_rate::recorded(model, Record::ErrorRatio("5m"), "latency"), None),
        fast(all("stays quiet without traffic", hold(&[("4000", 60)])), hold(&[("3000", 60)])).quiet("10m"),
        fast(
            all(
                "stays quiet when workers are restarted and counters begin anew",
                format!("{} {}", grow(&[(150, 40)]), grow(&[(150, 40)])),
            ),
            format!("{} {}", grow(&[(150, 40)]), grow(&[(150, 40)])),
        )
        .quiet("10m30s")
        .quiet("19m"),
    ]
}
