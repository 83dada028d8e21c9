//! No operator can be scraped.

use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::promql::{Level, SeriesOf};
use crate::monitoring::runbook::{Runbook, cause};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceOperatorDown",
    category: Category::Telemetry,
    component: AlertComponent::Operator,
    impact: "Models go on serving; changes to them do not arrive, and alerts that read the operator's series (InferenceModelDown among them) can't ring.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

fn rules() -> Vec<Firing> {
    vec![Firing {
        severity: AlertSeverity::Critical,
        expr: format!("absent({} == 1)", SeriesOf::job(OPERATOR_JOB).up()),
        for_: Some("5m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: 0 instances have answered Prometheus for 5 minutes".into(),
        description: Some("No instance of the operator can be scraped. Models go on serving, but InferenceModelDown and every other alert that \
            reads the operator's series are blind.".into()),
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "Prometheus has no target of the operator that answers: it is not running, does not answer, or is not selected.".into(),
        diagnosis: vec![
            operator::kubectl("Is it running?", "get pods", "-o wide"),
            operator::kubectl("What happened to its pods?", "describe pods", ""),
            operator::kubectl("What does it say?", "logs", "--prefix --tail=50"),
            operator::kubectl("Is it selected? Compare the labels with Prometheus' serviceMonitorSelector", "get servicemonitor,service", "--show-labels"),
        ],
        mitigation: vec![
            cause("It ends at once.", "The last line of its log says why: most often the CRDs are older than the operator. Install the chart `belfry-crds` of the same version."),
            cause("It can't be scheduled or pulled.", "The events of its pod say why."),
            cause("It runs and answers.", "Its ServiceMonitor is not selected, or a NetworkPolicy keeps Prometheus out."),
        ],
        resolves: "As soon as one instance answers the scrape.".into(),
    }
}

fn up(pod: &str) -> Level {
    SeriesOf::job(OPERATOR_JOB).up().eq("pod", pod)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let down = expected(&[], "Belfry's operator: 0 instances have answered Prometheus for 5 minutes").described("No instance of the operator can be scraped. Models go on serving, but InferenceModelDown and every other alert that reads \
         the operator's series are blind.");
    vec![
        Case::new("fires five minutes after the last target is lost, and resolves")
            .with(up("belfry-operator-a"), hold(&[("1", 20), ("stale", 1), ("_", 39), ("1", 20)]))
            .quiet("9m45s")
            .fires("10m", std::slice::from_ref(&down))
            .fires("14m45s", std::slice::from_ref(&down))
            .quiet("15m"),
        Case::new("fires when the target does not answer")
            .with(up("belfry-operator-a"), hold(&[("0", 40)]))
            .fires("5m", std::slice::from_ref(&down)),
        Case::new("fires when Prometheus never saw it").quiet("4m45s").fires("5m", &[down]),
        Case::new("stays quiet when the leader is replaced")
            .with(up("belfry-operator-a"), hold(&[("1", 20), ("0", 2), ("stale", 1)]))
            .with(up("belfry-operator-b"), hold(&[("_", 24), ("1", 60)]))
            .quiet("6m")
            .quiet("15m"),
        Case::new("stays quiet when one of two is down")
            .with(up("belfry-operator-a"), hold(&[("1", 60)]))
            .with(up("belfry-operator-b"), hold(&[("0", 60)]))
            .quiet("10m"),
    ]
}
