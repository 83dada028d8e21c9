//! The operator itself: without it nothing is changed, and half of the alerts about models are blind.

use belfry_crds::contract::metrics;

use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, Category, Component, Firing, Rules, Severity};
use crate::monitoring::cases;
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

/// Passes over models fail again and again.
pub(super) const RECONCILE_ERRORS: Alert = Alert {
    name: "InferenceOperatorReconcileErrors",
    category: Category::Lifecycle,
    component: Component::Operator,
    impact: "Changes to at least one model do not arrive; models go on serving as they are.",
    severities: &[Severity::Warning],
    rules: Rules::Operator(reconcile_errors),
    runbook: reconcile_errors_runbook,
    cases: cases::operator::reconcile_errors,
};

/// A single failure is in the window for ten minutes, which is less than `for`. A specification that
/// is refused is its owner's matter: outcome `invalid`, and a condition.
fn reconcile_errors() -> Vec<Firing> {
    let failed = Scope::job(OPERATOR_JOB).counter(&metrics::RECONCILES).eq("outcome", "failed");
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("sum({}) > 0", failed.increase("10m")),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: {{ $value | humanize }} passes over models failed in 10 minutes".into(),
        description: "Passes of the operator have been failing for 15 minutes, {{ $value | humanize }} of them in the last 10. Its log names \
            the model and the error."
            .into(),
    }]
}

fn reconcile_errors_runbook() -> Runbook {
    let failed = Scope::job(OPERATOR_JOB).counter(&metrics::API_WRITES).eq("result", "error").rate("10m");
    Runbook {
        meaning: "The operator could not finish a pass over a model, and tries again with growing pauses. Specifications that it refuses are not counted.".into(),
        diagnosis: vec![
            operator("Which model, and which error?", "logs", "--prefix --tail=200"),
            shell("Which models are not as they should be?", "kubectl get inferencemodels -A -o wide"),
            Step { ask: "Which kind of object can't be written?", with: Tool::Query(by("sum", &["kind"], failed)) },
        ],
        mitigation: vec![
            cause("`forbidden`.", "The operator's ClusterRole is older than the operator: install the chart of the same version."),
            cause("`conflict`, on one field.", "Somebody else applies that field: `kubectl get -o yaml --show-managed-fields` names the manager. Make one of the two let go."),
            cause("An admission webhook refuses an object.", "Its message says what it wants."),
            cause("Time-outs.", "The API server is overloaded or gone; other controllers show it too."),
        ],
        resolves: "When no pass has failed for ten minutes.".into(),
    }
}

fn operator(ask: &'static str, command: &str, flags: &str) -> Step {
    let command = format!("kubectl {command} -A -l app.kubernetes.io/name={OPERATOR_JOB} {flags}");
    shell(ask, command.trim_end())
}
