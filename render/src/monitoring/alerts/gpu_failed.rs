//! A GPU is out of order.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, grow, hold};
use crate::monitoring::gpu;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::SeriesOf;
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceGpuFailed",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "The pod on this GPU fails its requests, or its answers may be wrong.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// The counter of errors is that of the driver, so it is there before the first error.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let uncorrected = series.counter(&metrics::GPU_ECC_ERRORS).eq("type", "uncorrected");
    let of = |fault: &str, expr: String, for_, says: &str| Firing {
        severity: AlertSeverity::Critical,
        expr,
        for_,
        keep_firing_for: None,
        labels: vec![("fault", fault.to_owned())],
        summary: format!("{} {says}", gpu::SUBJECT),
        description: None,
    };
    let firings = vec![
        of("lost", format!("{} == 1", gpu::worst(series.gauge(&metrics::GPU_LOST))), Some("1m"), "fell off the bus"),
        of(
            "memory",
            format!("{} > 0", gpu::worst(uncorrected.increase("1h"))),
            None,
            "had errors of its memory in the last hour that could not be corrected",
        ),
        of(
            "row_remap",
            format!("{} == 1", gpu::worst(series.gauge(&metrics::GPU_ROW_REMAP_FAILURE))),
            None,
            "has bad memory that it can't replace by spare rows",
        ),
    ];
    gpu::only(model, firings)
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The driver says of a GPU that it fell off the bus (label `fault` is `lost`), that its memory had an error which could not be \
            corrected (`memory`), or that bad rows of its memory can't be replaced by spare ones (`row_remap`). Such a GPU fails again, \
            and after an error of its memory a result may have been wrong."
            .into(),
        diagnosis: vec![
            runbook::pods(),
            query("What did the driver report last (Xid)?", |series| gpu::worst(series.gauge(&metrics::GPU_LAST_XID))),
            query("How many errors were there within a day?", |series| {
                gpu::worst(series.counter(&metrics::GPU_ECC_ERRORS).eq("type", "uncorrected").increase("1d"))
            }),
            gpu::info(),
            runbook::logs(),
        ],
        mitigation: vec![
            cause(
                "Another node has a free GPU.",
                "Cordon the node of the pod (`kubectl cordon NODE`), and delete the pod: it moves.",
            ),
            cause("`lost`.", "Reboot the node. If it happens again, have the GPU, its power and its slot looked at."),
            cause(
                "`memory`, once.",
                "Reset the GPU when no pod is on it (`nvidia-smi -r`), so that the bad rows are replaced.",
            ),
            cause("`memory` again and again, or `row_remap`.", "Have the GPU replaced."),
        ],
        resolves: "When the GPU is there again, an hour after the last error, or when the pod is on another GPU.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let lost = gpu::gauge(model, &metrics::GPU_LOST);
    let errors = |kind| gpu::counter(model, &metrics::GPU_ECC_ERRORS).eq("type", kind);
    let fell = gpu::rings(&[("fault", "lost")], "fell off the bus");
    let memory =
        gpu::rings(&[("fault", "memory")], "had errors of its memory in the last hour that could not be corrected");
    let rows = gpu::rings(&[("fault", "row_remap")], "has bad memory that it can't replace by spare rows");
    vec![
        Case::new("fires a minute after a GPU fell off the bus, and resolves when it is there again")
            .with(lost.clone(), hold(&[("0", 20), ("1", 20), ("0", 40)]))
            .quiet("5m45s")
            .fires("6m", std::slice::from_ref(&fell))
            .fires("9m45s", &[fell])
            .quiet("10m15s"),
        Case::new("fires on the first error of the memory, and resolves an hour after it")
            .with(errors("uncorrected"), grow(&[(0, 20), (1, 1), (0, 300)]))
            .quiet("5m")
            .fires("5m30s", std::slice::from_ref(&memory))
            .fires("1h", &[memory])
            .quiet("1h6m"),
        Case::new("fires where bad rows can't be replaced")
            .with(gpu::gauge(model, &metrics::GPU_ROW_REMAP_FAILURE), hold(&[("0", 20), ("1", 20)]))
            .quiet("4m45s")
            .fires("5m", &[rows]),
        Case::new("stays quiet on errors that were corrected, and on those of before")
            .with(errors("corrected"), grow(&[(3, 80)]))
            .with(errors("uncorrected"), hold(&[("7", 80)]))
            .with(gpu::gauge(model, &metrics::GPU_ROW_REMAP_PENDING), hold(&[("1", 80)]))
            .quiet("10m")
            .quiet("19m"),
        Case::new("stays quiet while the driver answers late once")
            .with(lost, hold(&[("0", 20), ("_", 8), ("0", 20)]))
            .quiet("6m"),
        Case::new("stays quiet where no GPU is measured").quiet("10m"),
    ]
}
