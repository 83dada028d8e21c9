//! Heat or a want of power holds a GPU back.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, hold};
use crate::monitoring::gpu;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

/// Reasons that a healthy GPU in a healthy machine does not have. A power cap is none: a GPU at work mostly runs at it.
const UNHEALTHY: &[&str] = &["software_thermal", "hardware_thermal", "hardware_slowdown", "hardware_power_brake"];

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceGpuThrottled",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "Requests take longer than the GPU would make them.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// A reason is a 0 or a 1 at the moment of a reading: the mean is the share of the time.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let held = SeriesOf::model(model).gauge(&metrics::GPU_THROTTLED).one_of("reason", UNHEALTHY);
    let firings = vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0.25", gpu::worst(held.over_time("avg", "10m"))),
        for_: Some("5m"),
        keep_firing_for: Some("10m"),
        labels: vec![],
        summary: format!(
            "{} was slowed down by heat or a want of power in {{{{ $value | humanizePercentage }}}} of the time",
            gpu::SUBJECT
        ),
        description: None,
    }];
    gpu::only(model, firings)
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "In more than a quarter of the time, heat or a want of power lowered the clocks of a GPU. That it runs at its power limit is none of \
            these reasons: under load that is usual."
            .into(),
        diagnosis: vec![
            query("By which reason?", |series| {
                let held = series.gauge(&metrics::GPU_THROTTLED).one_of("reason", UNHEALTHY);
                by("max", &["pod", "gpu", "reason"], held.over_time("avg", "10m"))
            }),
            query("How hot is it?", |series| gpu::worst(series.gauge(&metrics::GPU_TEMPERATURE))),
            query("Which clocks are left?", |series| by("min", &["pod", "gpu", "clock"], series.gauge(&metrics::GPU_CLOCK))),
            runbook::pods(),
            gpu::info(),
        ],
        mitigation: vec![
            cause("A thermal reason.", "Look at fans, air and neighbours of the node. Until then, move the pod: cordon the node, and delete the pod."),
            cause("`hardware_power_brake`.", "The machine's power supply asks for it: have supplies and cables looked at."),
            cause("`hardware_slowdown` alone.", "Heat, power supply or the board itself: the machine's own log says which."),
            cause("Requests are as fast as they should be.", "Nothing is urgent; hot GPUs age faster."),
        ],
        resolves: "Ten minutes after the GPU is held back in less than a quarter of the last ten minutes.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let of = |reason: &str| gpu::gauge(model, &metrics::GPU_THROTTLED).eq("reason", reason);
    let half = |summary| gpu::rings(&[], summary);
    let all = half("was slowed down by heat or a want of power in 100% of the time");
    vec![
        Case::new("fires when a GPU is too hot for long, and resolves")
            .with(of("hardware_thermal"), hold(&[("0", 40), ("1", 80), ("0", 120)]))
            .with(of("software_power_cap"), hold(&[("0", 240)]))
            .quiet("17m")
            .fires("25m", &[all])
            .quiet("55m"),
        Case::new("stays quiet on two hot minutes")
            .with(of("software_thermal"), hold(&[("0", 40), ("1", 8), ("0", 80)]))
            .quiet("12m")
            .quiet("20m"),
        Case::new("stays quiet at the power limit")
            .with(of("software_power_cap"), hold(&[("1", 160)]))
            .with(of("hardware_thermal"), hold(&[("0", 160)]))
            .quiet("30m"),
        Case::new("stays quiet where no GPU is measured").quiet("30m"),
    ]
}
