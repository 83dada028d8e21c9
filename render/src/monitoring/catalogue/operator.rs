//! The operator itself: without it nothing is changed, and half of the alerts about models are blind.

use belfry_crds::contract::metrics;

use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::promql::{Scope, by};
use crate::monitoring::runbook::Tool;
use crate::monitoring::runbook::{Runbook, Step, cause, shell};

/// No operator can be scraped.
pub(super) const OPERATOR_DOWN: Alert = Alert {
    name: "InferenceOperatorDown",
    category: Category::Telemetry,
    component: Component::Operator,
    impact: "Models go on serving; changes to them do not arrive, and alerts that read the operator's series (InferenceModelDown among them) can't ring.",
    severities: &[Severity::Critical],
    rules: Rules::Operator(operator_down),
    runbook: operator_down_runbook,
    cases: cases::operator::operator_down,
};

fn operator_down() -> Vec<Firing> {
    vec![Firing {
        severity: Severity::Critical,
        expr: format!("absent({} == 1)", Scope::job(OPERATOR_JOB).up()),
        for_: Some("5m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: 0 instances have answered Prometheus for 5 minutes".into(),
        description: "No instance of the operator can be scraped. Models go on serving, but InferenceModelDown and every other alert that \
            reads the operator's series are blind."
            .into(),
    }]
}

fn operator_down_runbook() -> Runbook {
    Runbook {
        meaning: "Prometheus has no target of the operator that answers: it is not running, does not answer, or is not selected.".into(),
        diagnosis: vec![
            operator("Is it running?", "get pods", "-o wide"),
            operator("What happened to its pods?", "describe pods", ""),
            operator("What does it say?", "logs", "--prefix --tail=50"),
            operator("Is it selected? Compare the labels with Prometheus' serviceMonitorSelector", "get servicemonitor,service", "--show-labels"),
        ],
        mitigation: vec![
            cause("It ends at once.", "The last line of its log says why: most often the CRDs are older than the operator. Install the chart `belfry-crds` of the same version."),
            cause("It can't be scheduled or pulled.", "The events of its pod say why."),
            cause("It runs and answers.", "Its ServiceMonitor is not selected, or a NetworkPolicy keeps Prometheus out."),
        ],
        resolves: "As soon as one instance answers the scrape.".into(),
    }
}

/// Operators answer and none of them works.
pub(super) const NO_LEADER: Alert = Alert {
    name: "InferenceOperatorNoLeader",
    category: Category::Lifecycle,
    component: Component::Operator,
    impact: "Models go on serving; changes to them do not arrive, what is deleted stays away, and conditions are out of date, so that alerts that read them (InferenceModelLoadFailed among them) can't ring.",
    severities: &[Severity::Critical],
    rules: Rules::Operator(no_leader),
    runbook: no_leader_runbook,
    cases: cases::operator::no_leader,
};

/// A leader that ends without a word is followed after 20 s. One that starts works as soon as its watches have listed.
fn no_leader() -> Vec<Firing> {
    vec![Firing {
        severity: Severity::Critical,
        expr: format!("max({}) == 0", Scope::job(OPERATOR_JOB).gauge(&metrics::LEADER)),
        for_: Some("3m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: 0 instances have worked for 3 minutes".into(),
        description: "Instances of the operator answer Prometheus, and for 3 minutes none of them has worked: each waits for the Lease, or for \
            its watches. Models go on serving as they are."
            .into(),
    }]
}

fn no_leader_runbook() -> Runbook {
    let of = |metric| by("max", &["pod"], Scope::job(OPERATOR_JOB).gauge(metric));
    Runbook {
        meaning: "An operator works when its watches have listed what exists and, where there are several, when it holds the Lease \
            `belfry-operator`. None does."
            .into(),
        diagnosis: vec![
            operator("What do they wait for? Look for the watch or the lease that fails", "logs", "--prefix --tail=100"),
            operator("Are they ready? One that is not has not listed all kinds yet", "get pods", "-o wide"),
            shell("Who holds the lease, and since when?", "kubectl get leases -A --field-selector metadata.name=belfry-operator -o yaml"),
            query("Which instances answer?", of(&metrics::LEADER)),
        ],
        mitigation: vec![
            cause("The log says that a list is refused or does not come back.", "The API server is down or the operator lacks a right: go on with [InferenceOperatorRequestsRefused](InferenceOperatorRequestsRefused.md)."),
            cause("The log says that the lease can't be read or written.", "The Role `belfry-operator-lease` is missing: install the chart of the same version, with `replicas` above 1."),
            cause("The lease is held by a pod that is gone.", "It ends by itself after 15 s. If its time goes on moving, that pod still runs: delete it."),
        ],
        resolves: "As soon as one instance works.".into(),
    }
}

/// A question to Prometheus about the operator.
pub(super) fn query(ask: &'static str, expression: impl Into<String>) -> Step {
    Step { ask, with: Tool::Query(expression.into()) }
}

/// A command about the pods of the operator.
pub(super) fn operator(ask: &'static str, command: &str, flags: &str) -> Step {
    // Logs are those of one namespace; other commands find the operator wherever it was installed.
    let place = if command == "logs" { "-n belfry-system" } else { "-A" };
    let command = format!("kubectl {command} {place} -l app.kubernetes.io/name={OPERATOR_JOB} {flags}");
    shell(ask, command.trim_end())
}
