//! Containers end as soon as they start.

use belfry_crds::contract::{self, metrics};
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};
use crate::monitoring::series::waiting;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWorkerCrashLooping",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "At least one replica is missing; the others carry its share.",
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
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: replicas in CrashLoopBackOff: {{ $value | humanize }}".into(),
        description: "Containers of {{ $labels.namespace }}/{{ $labels.model }} have ended soon after each start for 2 minutes; replicas \
            that wait for their next start: {{ $value | humanize }}."
            .into(),
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The container of a worker ended several times, and the kubelet waits longer each time before it starts it again.".into(),
        diagnosis: vec![
            runbook::conditions(),
            shell(
                "How did it end?",
                runbook::kubectl(
                    "get pods",
                    r#"-o jsonpath='{range .items[*]}{.metadata.name}: {.status.containerStatuses[0].lastState.terminated}{"\n"}{end}'"#,
                ),
            ),
            shell("What did it say last?", runbook::kubectl("logs", "--prefix --previous --tail=50")),
            query("How often did containers restart in the last hour?", |series| {
                all("sum", series.counter(&metrics::MODEL_RESTARTS).increase("1h"))
            }),
        ],
        mitigation: vec![
            cause(&format!("Exit code {}.", contract::EXIT_LOAD_FAILED), "The model can't be loaded: go on with [InferenceModelLoadFailed](InferenceModelLoadFailed.md)."),
            cause("Exit code 137, `OOMKilled`.", "Raise `spec.resources.limits.memory`, or lower `spec.runtime.batching.maxBatchTokens`."),
            cause("Exit code 137, and not `OOMKilled`.", "The liveness probe ended it: the logs before the end say what it was busy with."),
            cause("Exit code 132, 134 or 139.", "libtorch crashed: the image may not suit the node's processor. Cordon the node if others are well."),
            cause("Exit code 2.", "A setting is refused: the first line of the log names it. Correct the specification."),
        ],
        resolves: "90 seconds after no container waits for its next start any more.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let looping = example::waiting(model, "CrashLoopBackOff");
    let fires = expected(
        &[],
        "search/minilm: replicas in CrashLoopBackOff: 1",
        "Containers of search/minilm have ended soon after each start for 2 minutes; replicas that wait for their next start: 1.",
    );
    vec![
        Case::new("fires although a scrape may see the container run, and resolves 90 seconds after the last wait")
            .with(looping.clone(), hold(&[("0", 20), ("1", 1), ("0", 2), ("1", 2), ("0", 2), ("1", 13), ("0", 40)]))
            .quiet("6m45s")
            .fires("7m", std::slice::from_ref(&fires))
            .fires("10m", &[fires])
            .quiet("11m30s"),
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
