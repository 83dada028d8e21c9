//! Containers end as soon as they start.

use belfry_crds::contract::{self, metrics};
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query};
use crate::monitoring::series::waiting;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWorkerCrashLooping",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "A replica is missing; the others carry its share.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

/// Between two waits the container runs for a moment, and a scrape may fall into that moment. The
/// window of 90 seconds bridges it. It is less than `for`, so a single wait of ten seconds never fires.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let looping = waiting(&SeriesOf::model(model)).eq("reason", "CrashLoopBackOff");
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0", all("max", looping.over_time("max", "90s"))),
        for_: Some("2m"),
        // A container that runs for minutes between two ends is one incident. The kubelet forgets it after ten minutes, too.
        keep_firing_for: Some("10m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: replicas in CrashLoopBackOff: {{ $value | humanize }}"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The container of a worker ended several times, and the kubelet waits longer each time before it starts it again.".into(),
        diagnosis: [
            vec![runbook::conditions()],
            runbook::ends().into(),
            vec![query("How often did containers restart in the last hour?", |series| {
                all("sum", series.counter(&metrics::MODEL_RESTARTS).increase("1h"))
            })],
        ]
        .concat(),
        mitigation: [
            vec![cause(&format!("Exit code {}.", contract::EXIT_LOAD_FAILED), "The model can't be loaded: go on with [InferenceModelLoadFailed](InferenceModelLoadFailed.md).")],
            runbook::kills().into(),
            vec![
                cause("Exit code 132, 134 or 139.", "libtorch crashed: the image may not suit the node's processor. Cordon the node if others are well."),
                cause("Exit code 2.", "A setting is refused: the first line of the log names it. Correct the specification."),
            ],
        ]
        .concat(),
        resolves: "Eleven and a half minutes after the last container waited for its next start.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let looping = example::waiting(model, "CrashLoopBackOff");
    let fires = expected(&[], "search/minilm: replicas in CrashLoopBackOff: 1");
    vec![
        Case::new(
            "fires although a scrape may see the container run, and resolves once no container has waited for minutes",
        )
        .with(looping.clone(), hold(&[("0", 20), ("1", 1), ("0", 2), ("1", 2), ("0", 2), ("1", 13), ("0", 40)]))
        .quiet("6m45s")
        .fires("7m", std::slice::from_ref(&fires))
        .fires("10m", std::slice::from_ref(&fires))
        .fires("19m", std::slice::from_ref(&fires))
        .quiet("22m"),
        Case::new("is one incident when the container runs for five minutes between two ends")
            .with(looping.clone(), hold(&[("0", 20), ("1", 20), ("0", 20), ("1", 20), ("0", 20), ("1", 20)]))
            .fires("9m", std::slice::from_ref(&fires))
            .fires("13m", std::slice::from_ref(&fires))
            .fires("16m", std::slice::from_ref(&fires))
            .fires("23m", std::slice::from_ref(&fires))
            .fires("27m", &[fires]),
        Case::new("stays quiet when a container is restarted once")
            .with(looping.clone(), hold(&[("0", 20), ("1", 1), ("0", 40)]))
            .quiet("6m30s")
            .quiet("7m"),
        Case::new("stays quiet while containers are created")
            .with(example::waiting(model, "ContainerCreating"), hold(&[("2", 60)]))
            .quiet("5m")
            .quiet("14m"),
    ]
}
