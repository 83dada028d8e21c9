//! Instances of the operator answer the scrape, and none of them works.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::promql::{Level, SeriesOf, by};
use crate::monitoring::runbook::{Runbook, cause, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceOperatorNoLeader",
    category: Category::Lifecycle,
    component: AlertComponent::Operator,
    impact: "Models go on serving; changes to them do not arrive, deleted objects are not restored, and conditions are out of date, so that alerts that read them (InferenceModelLoadFailed among them) can't ring.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// If a leader ends without releasing the lease, another takes over after 20 s. It works as soon as its watches have listed.
fn rules() -> Vec<Firing> {
    vec![Firing {
        severity: AlertSeverity::Critical,
        expr: format!("max({}) == 0", SeriesOf::job(OPERATOR_JOB).gauge(&metrics::LEADER)),
        for_: Some("3m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: 0 instances have worked for 3 minutes".into(),
        description: Some("Instances of the operator answer Prometheus, and for 3 minutes none of them has worked: each waits for the Lease, or for \
            its watches. Models go on serving as they are.".into()),
    }]
}

fn runbook() -> Runbook {
    let of = |metric| by("max", &["pod"], SeriesOf::job(OPERATOR_JOB).gauge(metric));
    Runbook {
        meaning: "An operator works when its watches have listed what exists and, where there are several, when it holds the Lease \
            `belfry-operator`. None does."
            .into(),
        diagnosis: vec![
            operator::kubectl("What do they wait for? Look for the watch or the lease that fails", "logs", "--prefix --tail=100"),
            operator::kubectl("Are they ready? One that is not has not listed all kinds yet", "get pods", "-o wide"),
            shell("Who holds the lease, and since when?", "kubectl get leases -A --field-selector metadata.name=belfry-operator -o yaml"),
            operator::query("Which instances answer?", of(&metrics::LEADER)),
        ],
        mitigation: vec![
            cause("The log says that a list is refused or does not come back.", "The API server is down or the operator lacks a right: go on with [InferenceOperatorRequestsRefused](InferenceOperatorRequestsRefused.md)."),
            cause("The log says that the lease can't be read or written.", "The Role `belfry-operator-lease` is missing: install the chart of the same version, with `replicas` above 1."),
            cause("The lease is held by a pod that is gone.", "It ends by itself after 15 s. If its time goes on moving, that pod still runs: delete it."),
        ],
        resolves: "As soon as one instance works.".into(),
    }
}

fn leader(pod: &str) -> Level {
    SeriesOf::job(OPERATOR_JOB).gauge(&metrics::LEADER).eq("pod", pod)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let none = expected(&[], "Belfry's operator: 0 instances have worked for 3 minutes").described("Instances of the operator answer Prometheus, and for 3 minutes none of them has worked: each waits for the Lease, or for its \
         watches. Models go on serving as they are.");
    vec![
        Case::new("fires three minutes after the leader is gone and no other follows, and resolves with the next")
            .with(leader("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .with(leader("belfry-operator-b"), hold(&[("0", 40), ("1", 40)]))
            .quiet("7m45s")
            .fires("8m", std::slice::from_ref(&none))
            .fires("9m45s", std::slice::from_ref(&none))
            .quiet("10m"),
        Case::new("fires when an operator never gets its watches")
            .with(leader("belfry-operator-a"), hold(&[("0", 40)]))
            .quiet("2m45s")
            .fires("3m", &[none]),
        Case::new("stays quiet when a leader dies and another takes over")
            .with(leader("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .with(leader("belfry-operator-b"), hold(&[("0", 22), ("1", 58)]))
            .quiet("5m15s")
            .quiet("9m"),
        Case::new("stays quiet when one works and another waits")
            .with(leader("belfry-operator-a"), hold(&[("1", 80)]))
            .with(leader("belfry-operator-b"), hold(&[("0", 80)]))
            .quiet("19m"),
        Case::new("stays quiet when nothing answers, which is InferenceOperatorDown")
            .with(leader("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .quiet("19m"),
    ]
}
