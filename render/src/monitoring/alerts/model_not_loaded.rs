//! A replica runs and has not loaded the model.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::{POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{Level, SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceModelNotLoaded",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "A replica does not serve. If it is the only one, the model does not.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let loaded = SeriesOf::model(model).gauge(&metrics::MODEL_LOADED);
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} == 0", by("max", &["pod"], loaded)),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: pod {{ $labels.pod }} has been without its model for 10 minutes".into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For ten minutes without a restart, a worker's process has answered the scrape and reported that its model is not loaded: it still loads, or it hangs.".into(),
        diagnosis: vec![
            runbook::conditions(),
            query("In which state is each pod?", |series| format!("{} == 1", series.gauge(&metrics::MODEL_STATE))),
            query("For how many seconds has it been loading?", |series| {
                format!("time() - {}", by("max", &["pod"], series.gauge(&metrics::MODEL_LOAD_START)))
            }),
            query("How many bytes of a download are missing?", |series| {
                let bytes = |metric| by("max", &["pod"], series.gauge(metric));
                format!("{} - {}", bytes(&metrics::DOWNLOAD_SIZE), bytes(&metrics::DOWNLOAD_DONE))
            }),
            query("How long did it take other pods, in seconds?", |series| {
                format!("{} > 0", series.gauge(&metrics::MODEL_LOAD_DURATION))
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

fn loaded(model: &ValidModel, pod: &str) -> Level {
    SeriesOf::model(model).gauge(&metrics::MODEL_LOADED).eq("pod", pod)
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let hangs = expected(&[("pod", POD_B)], "search/minilm: pod minilm-b has been without its model for 10 minutes");
    vec![
        Case::new("fires for the one pod that hangs, and resolves when it has loaded")
            .with(loaded(model, POD_A), hold(&[("1", 100)]))
            .with(loaded(model, POD_B), hold(&[("0", 60), ("1", 40)]))
            .quiet("9m45s")
            .fires("10m", std::slice::from_ref(&hangs))
            .fires("14m45s", &[hangs])
            .quiet("15m"),
        Case::new("stays quiet while a pod loads for eight minutes")
            .with(loaded(model, POD_B), hold(&[("0", 32), ("1", 40)]))
            .quiet("7m45s")
            .quiet("12m"),
        Case::new("stays quiet when pods load one after the other")
            .with(loaded(model, POD_A), hold(&[("0", 30), ("1", 50)]))
            .with(loaded(model, POD_B), hold(&[("_", 30), ("0", 30), ("1", 20)]))
            .quiet("10m")
            .quiet("14m"),
        Case::new("stays quiet when a pod is drained")
            .with(loaded(model, POD_B), hold(&[("1", 20), ("0", 3), ("stale", 1), ("_", 60)]))
            .quiet("6m")
            .quiet("20m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("20m"),
    ]
}
