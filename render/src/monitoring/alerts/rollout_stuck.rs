//! New pods do not become ready.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};
use crate::monitoring::series::condition;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceRolloutStuck",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "The old replicas go on serving; the new specification does not arrive.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let stuck = condition(&SeriesOf::model(model), ConditionType::Progressing, ConditionStatus::False);
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} == 1", by("max", &["reason"], stuck)),
        // The Deployment's own deadline has already passed.
        for_: Some("1m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: the rollout makes no progress: {{ $labels.reason }}"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The Deployment made no progress within its deadline, or the API server refuses its pods. What was ready before still serves.".into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("Which pods are old, which are new?", runbook::kubectl("get replicasets,pods", "-o wide")),
            runbook::describe(),
            query("How many replicas are new, and how many are ready?", |series| {
                by("max", &["state"], series.gauge(&metrics::MODEL_REPLICAS))
            }),
            query("For what do containers wait?", |series| format!("{} > 0", by("max", &["reason"], series.gauge(&metrics::MODEL_WAITING)))),
        ],
        mitigation: vec![
            cause("New pods can't load the model.", "Go on with [InferenceModelLoadFailed](InferenceModelLoadFailed.md), or apply the previous specification."),
            cause("New pods are Pending.", "Go on with [InferenceWorkerUnschedulable](InferenceWorkerUnschedulable.md): a rollout needs room for one more pod."),
            cause("`CreateContainerConfigError`.", "A Secret, a key of it or a claim is missing: the events of the pod name it."),
            cause("`PodsRefused`.", "Quota, limit range or Pod Security: the condition's message has the words of the API server."),
        ],
        resolves: "When the rollout is complete, or goes on.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let progressing = |status, reason| example::condition(model, ["Progressing", status, reason]);
    let stuck = |reason: &'static str| {
        expected(&[("reason", reason)], &format!("search/minilm: the rollout makes no progress: {reason}"))
    };
    vec![
        Case::new("fires a minute after the deadline, and resolves when the rollout is complete")
            .with(progressing("True", "RollingOut"), hold(&[("1", 40), ("stale", 1)]))
            .with(progressing("False", "ProgressDeadlineExceeded"), hold(&[("_", 40), ("1", 20), ("stale", 1)]))
            .with(progressing("True", "RolloutComplete"), hold(&[("_", 60), ("1", 20)]))
            .quiet("10m45s")
            .fires("11m", &[stuck("ProgressDeadlineExceeded")])
            .fires("14m45s", &[stuck("ProgressDeadlineExceeded")])
            .quiet("15m"),
        Case::new("fires when the API server refuses the pods")
            .with(progressing("False", "PodsRefused"), hold(&[("1", 20)]))
            .fires("2m", &[stuck("PodsRefused")]),
        Case::new("stays quiet in a rolling update")
            .with(progressing("True", "RollingOut"), hold(&[("1", 80)]))
            .quiet("5m")
            .quiet("19m"),
        Case::new("stays quiet while the model is suspended")
            .with(progressing("True", "Suspended"), hold(&[("1", 80)]))
            .quiet("19m"),
        Case::new("stays quiet when the model is deleted")
            .with(progressing("False", "ProgressDeadlineExceeded"), hold(&[("1", 2), ("stale", 1), ("_", 20)]))
            .quiet("2m"),
    ]
}
