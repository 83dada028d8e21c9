//! What the API server does not grant the operator.

use belfry_crds::contract::metrics;

use super::operator::{operator, query};
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::promql::{Scope, by};
use crate::monitoring::runbook::{Runbook, cause, shell};

/// Statuses by which the API server says that it will not, and not that it can't.
const REFUSED: &[&str] = &["401", "403", "429"];

/// Watches break off as soon as they begin.
pub(super) const WATCH_RESTARTS: Alert = Alert {
    name: "InferenceOperatorWatchRestarts",
    category: Category::Lifecycle,
    component: Component::Operator,
    impact: "The operator may not see what changes; models go on serving as they are, and series about them may be out of date.",
    severities: &[Severity::Warning],
    rules: Rules::Operator(watch_restarts),
    runbook: watch_restarts_runbook,
    cases: cases::api_server::watch_restarts,
};

/// One alert for all kinds: most often they break off together. An API server that is away for minutes leaves more than ten
/// in the window for ten minutes at most, which is less than `for`.
fn watch_restarts() -> Vec<Firing> {
    let restarts = Scope::job(OPERATOR_JOB).counter(&metrics::WATCH_RESTARTS).increase("10m");
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("max({}) > 10", by("sum", &["kind"], restarts)),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: a watch broke off {{ $value | humanize }} times in 10 minutes".into(),
        description: "For 15 minutes, watches of the operator have broken off more than once a minute, the worst {{ $value | humanize }} \
            times in the last 10. It is blind in between."
            .into(),
    }]
}

fn watch_restarts_runbook() -> Runbook {
    let scope = Scope::job(OPERATOR_JOB);
    let requests = scope.counter(&metrics::API_REQUESTS).one_of("verb", &["list", "watch"]).rate("10m");
    Runbook {
        meaning: "A watch ends every 50 seconds and is begun anew, which is not counted. One that breaks off is begun anew after half a second, \
            and after 8 s at most, so that a kind that can't be watched at all shows 75 of these in ten minutes."
            .into(),
        diagnosis: vec![
            query("Which kinds?", by("sum", &["kind"], scope.counter(&metrics::WATCH_RESTARTS).increase("10m"))),
            query("What does the API server answer?", by("sum", &["verb", "resource", "code"], requests)),
            query(
                "For how many seconds has each kind not been seen?",
                format!("time() - {}", by("max", &["resource"], scope.gauge(&metrics::LAST_SYNC))),
            ),
            operator("Which error?", "logs", "--prefix --tail=200"),
            shell("Does the API server answer?", "kubectl get --raw '/readyz?verbose' | tail -5"),
        ],
        mitigation: vec![
            cause("All kinds, with `error` or `timeout`.", "The API server or the way to it is down; a proxy in between may end connections that are silent for a while."),
            cause("One kind, with `403`.", "The operator's Role is older than the operator: install the chart of the same version."),
            cause("One kind, with `404`.", "Its CRD is gone, or of another version: install the chart `belfry-crds` of the same version."),
            cause("All kinds, with `429`.", "The API server is overloaded, or a FlowSchema holds the operator back."),
            cause("`410` again and again.", "The API server's history is too short for the rate of changes: look at etcd's compaction."),
        ],
        resolves: "When no watch has broken off more than ten times within ten minutes.".into(),
    }
}

/// The API server refuses requests of the operator.
pub(super) const REQUESTS_REFUSED: Alert = Alert {
    name: "InferenceOperatorRequestsRefused",
    category: Category::Lifecycle,
    component: Component::Operator,
    impact: "What the operator may not do does not happen: a kind of object is not written, or not seen.",
    severities: &[Severity::Warning],
    rules: Rules::Operator(requests_refused),
    runbook: requests_refused_runbook,
    cases: cases::api_server::requests_refused,
};

/// A refusal is in the window for ten minutes, which is less than `for`: it takes one that is repeated.
fn requests_refused() -> Vec<Firing> {
    let refused = Scope::job(OPERATOR_JOB).counter(&metrics::API_REQUESTS).one_of("code", REFUSED);
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("sum({}) > 0", refused.increase("10m")),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: the API server refused {{ $value | humanize }} of its requests in 10 minutes".into(),
        description: "For 15 minutes, the API server has refused requests of the operator with 401, 403 or 429, {{ $value | humanize }} of \
            them in the last 10."
            .into(),
    }]
}

fn requests_refused_runbook() -> Runbook {
    let refused = Scope::job(OPERATOR_JOB).counter(&metrics::API_REQUESTS).one_of("code", REFUSED);
    Runbook {
        meaning: "The API server answered requests with 401 (who are you?), 403 (you may not) or 429 (not so many). It is up, and means it."
            .into(),
        diagnosis: vec![
            query("Which requests?", by("sum", &["verb", "resource", "code"], refused.increase("10m"))),
            operator("Of which models, and in whose words?", "logs", "--prefix --tail=200"),
            shell(
                "What may the operator do? Set OPERATOR to the namespace that it runs in",
                "kubectl auth can-i --list --as=\"system:serviceaccount:$OPERATOR:belfry-operator\" -n \"$OPERATOR\"",
            ),
            shell("Which models have refused objects?", "kubectl get inferencemodels -A -o wide"),
        ],
        mitigation: vec![
            cause("`403` that says `cannot`.", "A right is missing: install the chart of the same version as the operator; with `namespaces`, name the model's namespace there."),
            cause("`403` that says `exceeded quota`.", "Raise the ResourceQuota of the model's namespace, or want less."),
            cause("`403` of a webhook or a policy.", "Its message says what it wants."),
            cause("`401`.", "The token is not taken: the ServiceAccount was deleted and made anew. Restart the operator."),
            cause("`429`.", "A FlowSchema or a proxy holds the operator back: give it a priority level of its own."),
        ],
        resolves: "When no request has been refused for ten minutes.".into(),
    }
}
