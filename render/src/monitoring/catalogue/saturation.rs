//! The model has more to do than it can.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertProfile;

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::objective::LEAST_ERRORS;
use crate::monitoring::promql::{Scope, Total, by, by_model};
use crate::monitoring::runbook::{self, Cause, Runbook, cause, query};

/// Refusals are near.
pub(super) const QUEUE_SATURATED: Alert = Alert {
    name: "InferenceQueueSaturated",
    category: Category::Saturation,
    component: Component::Worker,
    impact: "Callers wait in the queue; when it is full they are refused with 429.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Standard, queue_saturated),
    runbook: queue_saturated_runbook,
    cases: cases::saturation::queue_saturated,
};

fn queue_saturated(model: &ValidModel) -> Vec<Firing> {
    let scope = Scope::model(model);
    let fill = format!(
        "{} / {}",
        by_model("sum", scope.gauge(&metrics::QUEUE_DEPTH)),
        by_model("sum", scope.gauge(&metrics::QUEUE_CAPACITY))
    );
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{fill} > 0.8"),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: its queues are {{ $value | humanizePercentage }} full"
            .into(),
        description:
            "The queues of {{ $labels.namespace }}/{{ $labels.model }} have been more than 80% full for 5 minutes, now \
            {{ $value | humanizePercentage }}. More texts come in than go out."
                .into(),
    }]
}

fn queue_saturated_runbook() -> Runbook {
    Runbook {
        meaning:
            "The queues of all replicas together have been more than 80 % full for five minutes: this is no burst."
                .into(),
        diagnosis: diagnosis(),
        mitigation: cures(),
        resolves: "Two minutes after less than 80 % is taken.".into(),
    }
}

/// Callers are refused.
pub(super) const REQUESTS_REJECTED: Alert = Alert {
    name: "InferenceRequestsRejected",
    category: Category::Saturation,
    component: Component::Worker,
    impact: "Some callers are refused with 429 and have to come again.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Standard, requests_rejected),
    runbook: requests_rejected_runbook,
    cases: cases::saturation::requests_rejected,
};

fn rejected(scope: &Scope) -> Total {
    scope.counter(&metrics::REQUESTS).eq("status", "429")
}

fn requests_rejected(model: &ValidModel) -> Vec<Firing> {
    let scope = Scope::model(model);
    let share = format!(
        "{} / {}",
        by_model("sum", rejected(&scope).rate("5m")),
        by_model("sum", scope.counter(&metrics::REQUESTS).rate("5m"))
    );
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{share} > 0.05 and {} >= {LEAST_ERRORS}", by_model("sum", rejected(&scope).increase("5m"))),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of requests are refused with 429".into(),
        description: "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }}/{{ $labels.model }} were refused within \
            the last 5 minutes because a queue was full, and it has been more than 5% for 5 minutes."
            .into(),
    }]
}

fn requests_rejected_runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than 5 % of the requests, and at least {LEAST_ERRORS}, were refused because a queue was full. Refusing is what keeps the \
             accepted requests fast; the alert says that it happens too often. 429 does not spend the budget of an availability objective."
        ),
        diagnosis: diagnosis(),
        mitigation: cures(),
        resolves: "Two minutes after fewer than 5 % of the requests of the last five minutes were refused.".into(),
    }
}

fn diagnosis() -> Vec<runbook::Step> {
    vec![
        query("Which pods are full? One full pod among empty ones is a matter of balancing, or of that pod", |scope| {
            format!(
                "{} / {}",
                by("sum", &["pod"], scope.gauge(&metrics::QUEUE_DEPTH)),
                by("sum", &["pod"], scope.gauge(&metrics::QUEUE_CAPACITY))
            )
        }),
        query("Did traffic grow?", |scope| by("sum", &["endpoint"], scope.counter(&metrics::REQUESTS).rate("5m"))),
        query("Did each pod's throughput fall, in tokens a second?", |scope| {
            by("sum", &["pod"], scope.counter(&metrics::TOKENS).rate("5m"))
        }),
        query("How many replicas are ready, of how many?", |scope| {
            by("max", &["state"], scope.gauge(&metrics::MODEL_REPLICAS))
        }),
        runbook::pods(),
    ]
}

fn cures() -> Vec<Cause> {
    vec![
        cause("Traffic grew.", "Raise `spec.replicas`; ask the caller whose traffic grew to slow down."),
        cause("Replicas are missing.", "Find out why: `kubectl get inferencemodel` has the reason."),
        cause("Throughput fell on one pod.", "Its node is busy or throttled: delete the pod."),
        cause(
            "One pod is full and others are empty.",
            "A caller keeps one connection open and sends everything there: let it open several, or put the gateway in front.",
        ),
        cause(
            "Bursts that a larger queue could hold.",
            "Raise `spec.runtime.queue.capacity`, as long as waiting is better for the callers than coming again.",
        ),
    ]
}
