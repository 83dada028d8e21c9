//! The API server refuses requests of the operator.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::promql::{SeriesOf, Total, by};
use crate::monitoring::runbook::{Runbook, cause, shell};

/// Statuses with which the API server refuses a request on purpose, unlike a failure.
const REFUSED: &[&str] = &["401", "403", "429"];

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceOperatorRequestsRefused",
    category: Category::Lifecycle,
    component: AlertComponent::Operator,
    impact: "What the operator may not do does not happen: a kind of object is not written, or not seen.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// A single refusal stays in the window for ten minutes, which is less than `for`: only repeated refusals fire.
fn rules() -> Vec<Firing> {
    let refused = SeriesOf::job(OPERATOR_JOB).counter(&metrics::API_REQUESTS).one_of("code", REFUSED);
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("sum({}) > 0", refused.increase("10m")),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: the API server refused {{ $value | humanize }} of its requests in 10 minutes".into(),
        description: Some("For 15 minutes, the API server has refused requests of the operator with 401, 403 or 429, {{ $value | humanize }} of \
            them in the last 10.".into()),
    }]
}

fn runbook() -> Runbook {
    let refused = SeriesOf::job(OPERATOR_JOB).counter(&metrics::API_REQUESTS).one_of("code", REFUSED);
    Runbook {
        meaning: "The API server answered requests with 401 (not authenticated), 403 (not allowed) or 429 (too many). It is up, and refuses on purpose."
            .into(),
        diagnosis: vec![
            operator::query("Which requests?", by("sum", &["verb", "resource", "code"], refused.increase("10m"))),
            operator::kubectl("Which models are affected, and what does the refusal say?", "logs", "--prefix --tail=200"),
            shell(
                "What may the operator do? Set OPERATOR to the namespace that it runs in",
                "kubectl auth can-i --list --as=\"system:serviceaccount:$OPERATOR:belfry-operator\" -n \"$OPERATOR\"",
            ),
            shell("Which models have refused objects?", "kubectl get inferencemodels -A -o wide"),
        ],
        mitigation: vec![
            cause("`403` that says `cannot`.", "A right is missing: install the chart of the same version as the operator; with `namespaces`, name the model's namespace there."),
            cause("`403` that says `exceeded quota`.", "Raise the ResourceQuota of the model's namespace, or request less."),
            cause("`403` of a webhook or a policy.", "Its message says what it requires."),
            cause("`401`.", "The token is not accepted: the ServiceAccount was deleted and created again. Restart the operator."),
            cause("`429`.", "A FlowSchema or a proxy holds the operator back: give it a priority level of its own."),
        ],
        resolves: "When no request has been refused for ten minutes.".into(),
    }
}

fn requests(code: &str) -> Total {
    let requests = SeriesOf::job(OPERATOR_JOB).counter(&metrics::API_REQUESTS);
    requests.eq("verb", "patch").eq("resource", "services").eq("code", code)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let refused = |count: &str| {
        expected(&[], &format!("Belfry's operator: the API server refused {count} of its requests in 10 minutes")).described(&format!(
                "For 15 minutes, the API server has refused requests of the operator with 401, 403 or 429, {count} of them in the last 10."
            ))
    };
    vec![
        Case::new("fires when a right is missing, and resolves ten minutes after it is granted")
            .with(requests("403"), grow(&[(0, 20), (1, 80), (0, 60)]))
            .quiet("20m")
            .fires("20m15s", &[refused("40")])
            .fires("25m", &[refused("40")])
            .quiet("35m15s"),
        Case::new("fires when the operator is held back")
            .with(requests("429"), grow(&[(2, 100)]))
            .fires("20m", &[refused("80")]),
        Case::new("stays quiet on a single refusal")
            .with(requests("403"), hold(&[("0", 20), ("1", 100)]))
            .quiet("14m")
            .quiet("25m"),
        Case::new("stays quiet on what is granted, not there, in conflict or out of order")
            .with(requests("200"), grow(&[(5, 120)]))
            .with(requests("404"), grow(&[(1, 120)]))
            .with(requests("409"), grow(&[(1, 120)]))
            .with(requests("503"), grow(&[(1, 120)]))
            .quiet("20m")
            .quiet("29m"),
    ]
}
