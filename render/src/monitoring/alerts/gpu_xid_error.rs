//! The driver reports an error of a GPU.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, grow, hold};
use crate::monitoring::gpu;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::SeriesOf;
use crate::monitoring::runbook::{self, Runbook, cause, query};

/// Xids that a program causes, mostly: an exception in a kernel, a wrong address, and two that follow when a process ends.
const OF_PROGRAMS: &[u32] = &[13, 31, 43, 45];

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceGpuXidError",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "The pod on this GPU may fail its requests, now or soon.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// The number stays when the cause is gone, so only a counter that grew says that it is new.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let others: String = OF_PROGRAMS.iter().map(|xid| format!(" != {xid}")).collect();
    let last = gpu::worst(series.gauge(&metrics::GPU_LAST_XID));
    let new = gpu::worst(series.counter(&metrics::GPU_XID_ERRORS).increase("10m"));
    let firings = vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{last}{others} and on (pod, gpu) {new} > 0"),
        for_: None,
        keep_firing_for: Some("10m"),
        labels: vec![],
        summary: format!("{} had the error Xid {{{{ $value | humanize }}}}", gpu::SUBJECT),
        description: None,
    }];
    gpu::only(model, firings)
}

fn runbook() -> Runbook {
    let programs = OF_PROGRAMS.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Runbook {
        meaning: format!(
            "Within the last ten minutes the driver reported an error of a GPU, and the number of the last one (Xid) is none of those that a \
             program causes ({programs}). NVIDIA's page on Xid errors explains each number."
        ),
        diagnosis: vec![
            runbook::pods(),
            query("Which error was it?", |series| gpu::worst(series.gauge(&metrics::GPU_LAST_XID))),
            query("How often did it happen within a day?", |series| {
                gpu::worst(series.counter(&metrics::GPU_XID_ERRORS).increase("1d"))
            }),
            query("Did its memory have errors?", |series| {
                gpu::worst(series.counter(&metrics::GPU_ECC_ERRORS).eq("type", "uncorrected").increase("1d"))
            }),
            gpu::info(),
            runbook::logs(),
        ],
        mitigation: vec![
            cause(
                "48, 63, 64, 94 or 95: its memory.",
                "Delete the pod if it fails requests, and reset the GPU when no pod is on it.",
            ),
            cause(
                "74: the link between GPUs. 79: it fell off the bus.",
                "Cordon the node, delete the pod, and reboot the node.",
            ),
            cause(
                "119 or 120: its own processor does not answer the driver.",
                "Reset the GPU, and look for a newer driver.",
            ),
            cause("Another number.", "Read NVIDIA's page; one error that does not come back needs nothing."),
        ],
        resolves: "Twenty minutes after the last error.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, count: &[(u32, u32)], last: &[(&str, u32)]| {
        Case::new(name)
            .with(gpu::counter(model, &metrics::GPU_XID_ERRORS), grow(count))
            .with(gpu::gauge(model, &metrics::GPU_LAST_XID), hold(last))
    };
    let off_the_bus = gpu::rings(&[], "had the error Xid 79");
    vec![
        story(
            "fires on the first error, and resolves twenty minutes after it although its number stays",
            &[(0, 20), (1, 1), (0, 160)],
            &[("_", 21), ("79", 160)],
        )
        .quiet("5m")
        .fires("5m30s", std::slice::from_ref(&off_the_bus))
        .fires("24m", &[off_the_bus])
        .quiet("26m"),
        story("stays quiet on an error of a program", &[(0, 20), (1, 1), (0, 160)], &[("_", 21), ("31", 160)])
            .quiet("5m30s")
            .quiet("10m"),
        story("stays quiet on an error of before", &[(0, 80)], &[("79", 80)]).quiet("10m"),
        Case::new("stays quiet where no GPU is measured").quiet("10m"),
    ]
}
