//! Most requests fail. Burn rates detect this late for a weak objective, and never without an objective.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example::{self, POD_A};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::{self, LEAST_ERRORS};
use crate::monitoring::promql::{Record, SeriesOf, Total, by, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceModelOutage",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "Most callers get a 5xx, or no answer in time.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

/// Requests of ten minutes of which none was answered, for an alert.
const LEAST_GIVEN_UP: u32 = 10;

fn rules(model: &ValidModel) -> Vec<Firing> {
    if !objective::counts_failures(model) {
        return vec![];
    }
    let series = SeriesOf::model(model);
    let (requests, failures) =
        (|window| series.traffic(&Record::Requests(window)), |window| series.traffic(&Record::Failures(window)));
    // A model that few ask needs minutes for as many failures; then no request may have been answered meanwhile.
    let failing = format!(
        "{} / {} > 0.5 and {} >= {LEAST_ERRORS} or {} / {} > 0.99 and {3} >= {LEAST_ERRORS} and {} > 0",
        failures("1m"),
        requests("1m"),
        failures("2m"),
        failures("10m"),
        requests("10m"),
        failures("5m")
    );
    // Where callers wait for less than that, none of them is ever failed by a late answer, and none gets one.
    let unanswered = series.counter(&metrics::REQUESTS).matching("status", "5..|499").increase("10m");
    let none = format!("{} / {} > 0.99 and {1} >= {LEAST_GIVEN_UP}", by_model("sum", unanswered), requests("10m"));
    let lost = match model.engine {
        None => format!("with a 5xx, or without an answer after {}", objective::patience_text(model)),
        Some(_) => "with a 5xx".to_owned(),
    };
    vec![Firing {
        severity: AlertSeverity::Critical,
        expr: format!("{failing} or {none}"),
        for_: Some("30s"),
        // With little traffic, the share crosses the threshold in both directions; that is one incident.
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: {{{{ $value | humanizePercentage }}}} of requests fail, {lost}"
        ),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than half of the requests of the last minute failed, and at least {LEAST_ERRORS} within two minutes; or every request of the \
             last ten minutes failed, and at least {LEAST_ERRORS}. Every 5xx counts, 503 while loading or draining too, and so does a caller \
             who left (499) after waiting longer than the strictest latency objective, and at most 5 s. Other 4xx do not count. It also rings \
             when none of at least {LEAST_GIVEN_UP} requests of ten minutes got an answer, however soon their callers left."
        ),
        diagnosis: vec![
            query(
                "Which reason, and from which pod? One reason from one pod is that pod; one reason from all is the model or its input",
                |series| by("sum", &["pod", "status", "reason"], objective::failed(series).rate("1m")),
            ),
            runbook::pods(),
            runbook::logs(),
            query("Do callers give up, and how many in a second?", |series| {
                by("sum", &["pod"], series.count(&metrics::ABANDONED_DURATION).rate("1m"))
            }),
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
                "Callers give up.",
                "The model answers more slowly than its callers wait: go on as for `deadline_exceeded`, or let them wait longer.",
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
        resolves: "Two minutes after fewer than half of the requests fail, or after traffic stops; on a quiet model within eight minutes.".into(),
    }
}

fn outage(share: &str) -> Expected {
    expected(&[], &format!("search/minilm: {share} of requests fail, with a 5xx, or without an answer after 250 ms"))
}

/// Callers of pod A who left, and those of them who had not waited for too long.
fn left(model: &ValidModel) -> Total {
    SeriesOf::model(model).count(&metrics::ABANDONED_DURATION).eq("pod", POD_A)
}

fn left_within(model: &ValidModel) -> Total {
    SeriesOf::model(model).bucket(&metrics::ABANDONED_DURATION, 0.25).eq("pod", POD_A)
}

/// A counter that grows by one every fourth step.
fn once_a_minute(steps: u32) -> String {
    let values: Vec<String> = (0..steps / 4).map(|minute| hold(&[(&minute.to_string(), 4)])).collect();
    values.join(" ")
}

fn cases(model: &ValidModel) -> Vec<Case> {
    [faults(model), look_alikes(model)].concat()
}

fn faults(model: &ValidModel) -> Vec<Case> {
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
    ]
}

fn look_alikes(model: &ValidModel) -> Vec<Case> {
    let ok = |case: Case, values: String| case.with(example::requests(model, "200", "ok"), values);
    let failed = |case: Case, values: String| case.with(example::requests(model, "500", "inference_failed"), values);
    vec![
        failed(ok(Case::new("stays quiet when fewer than half fail"), grow(&[(90, 40)])), grow(&[(60, 40)]))
            .quiet("5m")
            .quiet("9m"),
        ok(Case::new("stays quiet on mistakes of the callers, on refusals and on callers who left"), grow(&[(0, 40)]))
            .with(example::requests(model, "422", "invalid_input"), grow(&[(150, 40)]))
            .with(example::requests(model, "429", "queue_full"), grow(&[(150, 40)]))
            .with(example::requests(model, "499", "client_closed_request"), grow(&[(150, 40)]))
            .with(left(model), grow(&[(150, 40)]))
            .with(left_within(model), grow(&[(150, 40)]))
            .quiet("5m")
            .quiet("9m"),
        ok(Case::new("fires when every caller gives up after waiting too long"), grow(&[(150, 20), (0, 20)]))
            .with(example::requests(model, "499", "client_closed_request"), grow(&[(0, 20), (150, 20)]))
            .with(left(model), grow(&[(0, 20), (150, 20)]))
            .with(left_within(model), grow(&[(0, 40)]))
            .quiet("5m45s")
            .fires("7m", &[outage("100%")]),
        failed(
            ok(Case::new("fires when a model that is asked once a minute fails every request"), grow(&[(0, 80)])),
            once_a_minute(80),
        )
        .quiet("3m")
        .fires("12m", &[outage("100%")]),
        failed(
            ok(
                Case::new("stays quiet when such a model answers every third request"),
                hold(&[("0", 8), ("1", 12), ("2", 12), ("3", 12), ("4", 36)]),
            ),
            once_a_minute(80),
        )
        .quiet("6m")
        .quiet("12m"),
        failed(
            ok(Case::new("stays quiet when three of three requests fail"), grow(&[(0, 60)])),
            hold(&[("0", 20), ("1", 2), ("2", 2), ("3", 36)]),
        )
        .quiet("6m")
        .quiet("7m"),
        failed(ok(Case::new("stays quiet without traffic"), hold(&[("4000", 40)])), hold(&[("12", 40)]))
            .quiet("5m")
            .quiet("9m"),
        ok(Case::new("fires when every caller gives up early, and none gets an answer"), grow(&[(150, 20), (0, 60)]))
            .with(example::requests(model, "499", "client_closed_request"), grow(&[(0, 20), (150, 60)]))
            .with(left(model), grow(&[(0, 20), (150, 60)]))
            .with(left_within(model), grow(&[(0, 20), (150, 60)]))
            .quiet("12m")
            .fires("17m", &[outage("100%")]),
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
