//! The model does not load, or a change of it does not arrive.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertProfile;

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::promql::{Level, Scope, by, by_model};
use crate::monitoring::reference;
use crate::monitoring::runbook::{self, Cause, Runbook, cause, query, shell};

/// A worker said why it could not load the model. A warning: if no other replica serves, `InferenceModelDown` pages,
/// and this one is its answer; if others serve, nobody is hurt.
pub(super) const MODEL_LOAD_FAILED: Alert = Alert {
    name: "InferenceModelLoadFailed",
    category: Category::Lifecycle,
    component: Component::Worker,
    impact: "At least one replica is missing. If none was ready before, the model does not serve.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Minimal, model_load_failed),
    runbook: model_load_failed_runbook,
    cases: cases::lifecycle::model_load_failed,
};

pub(in crate::monitoring) fn condition(scope: &Scope, type_: ConditionType, status: ConditionStatus) -> Level {
    scope.gauge(&metrics::MODEL_CONDITION).eq("type", type_.as_str()).eq("status", status.as_str())
}

fn model_load_failed(model: &ValidModel) -> Vec<Firing> {
    let reasons: Vec<_> = LoadFailureReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let failed = condition(&Scope::model(model), ConditionType::ModelLoaded, ConditionStatus::False);
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{} == 1", by("max", &["namespace", "model", "reason"], failed.one_of("reason", &reasons))),
        for_: None,
        // Between two attempts the condition says Loading; that does not end the failure.
        keep_firing_for: Some("5m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: a replica can't load the model: {{ $labels.reason }}".into(),
        description: "At least one replica of {{ $labels.namespace }}/{{ $labels.model }} ended because it could not load \
            the model, with reason {{ $labels.reason }}. The condition ModelLoaded says which file or address. Pods try again by themselves."
            .into(),
    }]
}

fn model_load_failed_runbook() -> Runbook {
    let cures = LoadFailureReason::ALL.iter().map(|reason| {
        let (meaning, cure) = reference::load_failure(*reason);
        Cause { cause: format!("`{}`. {meaning}", reason.as_str()), cure: cure.into() }
    });
    Runbook {
        meaning: "A worker ended because it could not load its model, and said why. The label `reason` is that of the condition `ModelLoaded`. \
            If other replicas still serve, InferenceModelDown stays quiet."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("What did the last attempt say?", runbook::kubectl("logs", "--prefix --previous --tail=20")),
            query("How many attempts failed in the last hour?", |scope| {
                by_model("sum", scope.counter(&metrics::MODEL_LOAD_FAILURES).increase("1h"))
            }),
            runbook::pods(),
        ],
        mitigation: cures.collect(),
        resolves: "Five minutes after the condition names no failure any more: the model is loaded, or the specification changed.".into(),
    }
}

/// A replica runs and has not loaded the model.
pub(super) const MODEL_NOT_LOADED: Alert = Alert {
    name: "InferenceModelNotLoaded",
    category: Category::Lifecycle,
    component: Component::Worker,
    impact: "One replica does not serve; the others carry its share. If it is the only one, the model does not serve.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Minimal, model_not_loaded),
    runbook: model_not_loaded_runbook,
    cases: cases::lifecycle::model_not_loaded,
};

fn model_not_loaded(model: &ValidModel) -> Vec<Firing> {
    let loaded = Scope::model(model).gauge(&metrics::MODEL_LOADED);
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{} == 0", by("max", &["namespace", "model", "pod"], loaded)),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: pod {{ $labels.pod }} has been without its model for 10 minutes".into(),
        description: "Pod {{ $labels.pod }} of {{ $labels.namespace }}/{{ $labels.model }} runs, and has not loaded the model \
            in 10 minutes. It is slow, or it hangs."
            .into(),
    }]
}

fn model_not_loaded_runbook() -> Runbook {
    Runbook {
        meaning: "A worker's process answers the scrape and says that its model is not loaded, for ten minutes without a restart: it still loads, or it hangs.".into(),
        diagnosis: vec![
            runbook::conditions(),
            query("In which state is each pod?", |scope| format!("{} == 1", scope.gauge(&metrics::MODEL_STATE))),
            query("For how many seconds has it been loading?", |scope| {
                format!("time() - {}", by("max", &["pod"], scope.gauge(&metrics::MODEL_LOAD_START)))
            }),
            query("How many bytes of a download are missing?", |scope| {
                let bytes = |metric| by("max", &["pod"], scope.gauge(metric));
                format!("{} - {}", bytes(&metrics::DOWNLOAD_SIZE), bytes(&metrics::DOWNLOAD_DONE))
            }),
            query("How long did it take other pods, in seconds?", |scope| {
                format!("{} > 0", scope.gauge(&metrics::MODEL_LOAD_DURATION))
            }),
            shell("What does the pod say? Set POD from the label of the alert", "kubectl -n \"$NAMESPACE\" logs \"$POD\" --tail=50"),
        ],
        mitigation: vec![
            cause("It downloads.", "The hub or the bucket is slow, or the model is large: wait, share one download among the replicas (`spec.model.cache`), or put the model on a claim (`spec.model.source.pvc`)."),
            cause("It reads from a claim, slowly.", "Look at the storage of the claim; a network file system with many readers is the usual cause."),
            cause("It neither downloads nor reads.", "Delete the pod and keep its logs; it is a fault of the worker."),
            cause("It was always that slow.", "Nothing is broken: more replicas or a smaller model are the cure."),
        ],
        resolves: "When the pod has loaded its model, or is gone.".into(),
    }
}

/// New pods do not become ready.
pub(super) const ROLLOUT_STUCK: Alert = Alert {
    name: "InferenceRolloutStuck",
    category: Category::Lifecycle,
    component: Component::Worker,
    impact: "The old replicas go on serving; the new specification does not arrive.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Standard, rollout_stuck),
    runbook: rollout_stuck_runbook,
    cases: cases::lifecycle::rollout_stuck,
};

fn rollout_stuck(model: &ValidModel) -> Vec<Firing> {
    let stuck = condition(&Scope::model(model), ConditionType::Progressing, ConditionStatus::False);
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{} == 1", by("max", &["namespace", "model", "reason"], stuck)),
        // The Deployment's own deadline has passed already.
        for_: Some("1m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: the rollout makes no progress: {{ $labels.reason }}".into(),
        description: "Condition Progressing of {{ $labels.namespace }}/{{ $labels.model }} has been False for at least 1 minute, \
            with reason {{ $labels.reason }}. Old pods go on serving; new ones do not become ready."
            .into(),
    }]
}

fn rollout_stuck_runbook() -> Runbook {
    Runbook {
        meaning: "The Deployment made no progress within its deadline, or the API server refuses its pods. What was ready before still serves.".into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("Which pods are old, which are new?", runbook::kubectl("get replicasets,pods", "-o wide")),
            runbook::describe(),
            query("How many replicas are new, and how many are ready?", |scope| {
                by("max", &["state"], scope.gauge(&metrics::MODEL_REPLICAS))
            }),
            query("For what do containers wait?", |scope| format!("{} > 0", by("max", &["reason"], scope.gauge(&metrics::MODEL_WAITING)))),
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
