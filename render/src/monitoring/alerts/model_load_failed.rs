//! A worker reported why it could not load the model. This is a warning: if no other replica serves, `InferenceModelDown`
//! pages, and this alert explains it; if others serve, users are not affected.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, by, by_model};
use crate::monitoring::reference;
use crate::monitoring::runbook::{self, Cause, Runbook, query, shell};
use crate::monitoring::series::condition;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceModelLoadFailed",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "A replica is missing. If none was ready before, the model does not serve.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let reasons: Vec<_> = LoadFailureReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let failed = condition(&SeriesOf::model(model), ConditionType::ModelLoaded, ConditionStatus::False);
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} == 1", by("max", &["reason"], failed.one_of("reason", &reasons))),
        for_: None,
        // Between two attempts the condition's reason is Loading; that does not end the failure.
        keep_firing_for: Some("5m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: a replica can't load the model: {{ $labels.reason }}"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
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
            query("How many attempts failed in the last hour?", |series| {
                by_model("sum", series.counter(&metrics::MODEL_LOAD_FAILURES).increase("1h"))
            }),
            runbook::pods(),
        ],
        mitigation: cures.collect(),
        resolves: "Five minutes after the condition names no failure any more: the model is loaded, or the specification changed.".into(),
    }
}

fn load_failed(reason: &'static str) -> Expected {
    expected(&[("reason", reason)], &format!("search/minilm: a replica can't load the model: {reason}"))
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let loaded = |status, reason| example::condition(model, ["ModelLoaded", status, reason]);
    let mut every_reason = Case::new("fires on every reason of the contract");
    for reason in LoadFailureReason::ALL {
        every_reason = every_reason.with(loaded("False", reason.as_str()), hold(&[("1", 8)]));
    }
    let all: Vec<_> = LoadFailureReason::ALL.iter().map(|reason| load_failed(reason.as_str())).collect();
    vec![
        Case::new("fires at once, goes on between two attempts, and resolves five minutes after the model is loaded")
            .with(loaded("False", "Loading"), hold(&[("1", 4), ("stale", 1), ("_", 7), ("1", 8), ("stale", 1)]))
            .with(
                loaded("False", "AuthFailed"),
                hold(&[("_", 4), ("1", 8), ("stale", 1), ("_", 7), ("1", 20), ("stale", 1)]),
            )
            .with(loaded("True", "Loaded"), hold(&[("_", 40), ("1", 40)]))
            .quiet("45s")
            .fires("1m", &[load_failed("AuthFailed")])
            .fires("4m", &[load_failed("AuthFailed")])
            .fires("9m45s", &[load_failed("AuthFailed")])
            .quiet("15m15s"),
        every_reason.fires("1m", &all),
        Case::new("stays quiet while the model loads")
            .with(loaded("False", "Loading"), hold(&[("1", 80)]))
            .quiet("1m")
            .quiet("19m"),
        Case::new("stays quiet when the model is scaled to zero")
            .with(loaded("False", "ScaledToZero"), hold(&[("1", 80)]))
            .quiet("19m"),
        Case::new("stays quiet while the model is suspended")
            .with(loaded("False", "Suspended"), hold(&[("1", 80)]))
            .quiet("19m"),
        Case::new("stays quiet when the worker crashes for another reason, which is InferenceWorkerCrashLooping")
            .with(loaded("False", "WorkerCrashed"), hold(&[("1", 80)]))
            .quiet("19m"),
    ]
}
