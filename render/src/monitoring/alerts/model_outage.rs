//! Most requests fail. Burn rates detect this late for a weak objective, and never without an objective.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::{self, LEAST_ERRORS};
use crate::monitoring::promql::{SeriesOf, by, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceModelOutage",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "More than half of the callers of this model get a 5xx.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let failed = objective::failed(&series);
    let expr = format!(
        "{} / {} > 0.5 and {} >= {LEAST_ERRORS}",
        by_model("sum", failed.rate("1m")),
        by_model("sum", series.counter(&metrics::REQUESTS).rate("1m")),
        by_model("sum", failed.increase("2m")),
    );
    vec![Firing {
        severity: AlertSeverity::Critical,
        expr,
        for_: Some("30s"),
        // With little traffic, the share crosses the threshold in both directions; that is one incident.
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of requests failed in the last minute".into(),
        description: "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }}/{{ $labels.model }} were answered \
            with a 5xx in the last minute, and it has been more than half for at least 30 seconds."
            .into(),
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than half of the answers of the last minute were a 5xx, and at least {LEAST_ERRORS} within two minutes. \
             Every 5xx counts, 503 while loading or draining too: to the caller they are failures. 4xx and callers who left (499) do not count."
        ),
        diagnosis: vec![
            query(
                "Which reason, and from which pod? One reason from one pod is that pod; one reason from all is the model or its input",
                |series| by("sum", &["pod", "status", "reason"], objective::failed(series).rate("1m")),
            ),
            runbook::pods(),
            runbook::logs(),
            query("Do requests wait until their deadline?", |series| {
                by("max", &["pod"], series.gauge(&metrics::QUEUE_DEPTH))
            }),
            query("Does the worker still compute? Seconds since the last forward pass", |series| {
                format!("time() - {}", by("max", &["pod"], series.gauge(&metrics::LAST_PROGRESS)))
            }),
        ],
        mitigation: vec![
            cause(
                "`inference_failed` from one pod.",
                "Delete the pod; if its successor on the same node fails too, cordon the node.",
            ),
            cause(
                "`inference_failed` from all pods.",
                "If it began with a change of the InferenceModel, apply the previous specification. Else read the logs for the first error and keep the request that caused it.",
            ),
            cause(
                "`deadline_exceeded`.",
                "Requests arrive faster than they are answered: raise `spec.replicas`, or shorten the queue, so that callers are refused early (429).",
            ),
            cause(
                "`model_loading` or `draining`.",
                "Pods get requests before they are ready or after they should have left. Look for callers that address pods and not the Service, and for pods that are restarted all the time.",
            ),
            cause(
                "The last forward pass is long ago and work is queued.",
                "The worker is stuck; its liveness probe restarts it. If not, delete the pod.",
            ),
        ],
        resolves: "Two minutes after fewer than half of the requests fail, or after traffic stops.".into(),
    }
}

fn outage(share: &str) -> Expected {
    expected(
        &[],
        &format!("search/minilm: {share} of requests failed in the last minute"),
        &format!(
            "{share} of the requests to search/minilm were answered with a 5xx in the last minute, and it has been more than half \
             for at least 30 seconds."
        ),
    )
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let ok = |case: Case, values: String| case.with(example::requests(model, "200", "ok"), values);
    let failed = |case: Case, values: String| case.with(example::requests(model, "500", "inference_failed"), values);
    vec![
        failed(
            ok(
                Case::new("fires 60 seconds after all requests begin to fail, and resolves"),
                grow(&[(150, 20), (0, 20), (150, 40)]),
            ),
            grow(&[(0, 20), (150, 20), (0, 40)]),
        )
        .quiet("5m45s")
        .fires("6m", &[outage("100%")])
        .fires("10m", &[outage("100%")])
        .fires("11m", &[outage("66.67%")])
        .quiet("12m30s"),
        failed(
            ok(Case::new("fires on the first failures that the process ever counted"), grow(&[(0, 40)])),
            format!("{} {}", hold(&[("_", 20)]), grow(&[(150, 20)])),
        )
        .fires("6m30s", &[outage("100%")]),
        failed(ok(Case::new("fires with the share that fails"), grow(&[(60, 40)])), grow(&[(90, 40)]))
            .fires("5m", &[outage("60%")]),
        ok(Case::new("counts 503 while loading, because the caller got no answer"), grow(&[(0, 40)]))
            .with(example::requests(model, "503", "model_loading"), grow(&[(30, 40)]))
            .fires("5m", &[outage("100%")]),
        failed(ok(Case::new("stays quiet when fewer than half fail"), grow(&[(90, 40)])), grow(&[(60, 40)]))
            .quiet("5m")
            .quiet("9m"),
        ok(Case::new("stays quiet on mistakes of the callers, on refusals and on callers who left"), grow(&[(0, 40)]))
            .with(example::requests(model, "422", "invalid_input"), grow(&[(150, 40)]))
            .with(example::requests(model, "429", "queue_full"), grow(&[(150, 40)]))
            .with(example::requests(model, "499", "client_closed_request"), grow(&[(150, 40)]))
            .quiet("5m")
            .quiet("9m"),
        failed(
            ok(Case::new("stays quiet when three of three requests fail"), grow(&[(0, 60)])),
            hold(&[("0", 20), ("1", 2), ("2", 2), ("3", 36)]),
        )
        .quiet("6m")
        .quiet("7m"),
        failed(ok(Case::new("stays quiet without traffic"), hold(&[("4000", 40)])), hold(&[("12", 40)]))
            .quiet("5m")
            .quiet("9m"),
        failed(
            ok(
                Case::new("stays quiet when a worker is restarted and its counters begin anew"),
                format!("{} {}", grow(&[(150, 20)]), grow(&[(150, 20)])),
            ),
            hold(&[("900", 20), ("0", 20)]),
        )
        .quiet("5m30s")
        .quiet("6m")
        .quiet("9m"),
        failed(
            ok(Case::new("goes on when a failing worker is restarted"), hold(&[("4000", 20), ("0", 20)])),
            format!("{} {}", grow(&[(150, 20)]), grow(&[(150, 20)])),
        )
        .fires("4m", &[outage("100%")])
        .fires("6m", &[outage("100%")]),
    ]
}
