//! Watches break off soon after they begin.

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

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceOperatorWatchRestarts",
    category: Category::Lifecycle,
    component: AlertComponent::Operator,
    impact: "The operator may not see what changes; models go on serving as they are, and series about them may be out of date.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// One alert covers all kinds, since their watches mostly break off together. If the API server is away for some minutes,
/// the window has more than ten restarts for ten minutes at most, which is less than `for`.
fn rules() -> Vec<Firing> {
    let restarts = SeriesOf::job(OPERATOR_JOB).counter(&metrics::WATCH_RESTARTS).increase("10m");
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("max({}) > 10", by("sum", &["kind"], restarts)),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: a watch broke off {{ $value | humanize }} times in 10 minutes".into(),
        description: Some("For 15 minutes, watches of the operator have broken off more than once a minute, the worst {{ $value | humanize }} \
            times in the last 10. It is blind in between.".into()),
    }]
}

fn runbook() -> Runbook {
    let series = SeriesOf::job(OPERATOR_JOB);
    let requests = series.counter(&metrics::API_REQUESTS).one_of("verb", &["list", "watch"]).rate("10m");
    Runbook {
        meaning: "A watch ends every 50 seconds and is begun anew, which is not counted. One that breaks off is begun anew after half a second, \
            and after 8 s at most, so that a kind that can't be watched at all shows 75 of these in ten minutes."
            .into(),
        diagnosis: vec![
            operator::query("Which kinds?", by("sum", &["kind"], series.counter(&metrics::WATCH_RESTARTS).increase("10m"))),
            operator::query("What does the API server answer?", by("sum", &["verb", "resource", "code"], requests)),
            operator::query(
                "For how many seconds has each kind not been seen?",
                format!("time() - {}", by("max", &["resource"], series.gauge(&metrics::LAST_SYNC))),
            ),
            operator::kubectl("Which error?", "logs", "--prefix --tail=200"),
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

fn restarts(kind: &str) -> Total {
    SeriesOf::job(OPERATOR_JOB).counter(&metrics::WATCH_RESTARTS).eq("kind", kind)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let storm = |times: &str| {
        expected(&[], &format!("Belfry's operator: a watch broke off {times} times in 10 minutes")).described(&format!(
                "For 15 minutes, watches of the operator have broken off more than once a minute, the worst {times} times in the last 10. It \
                 is blind in between."
            ))
    };
    vec![
        Case::new("fires once for all kinds when watches go on breaking off, and resolves when they hold")
            .with(restarts("InferenceModel"), grow(&[(0, 20), (1, 100), (0, 60)]))
            .with(restarts("Pod"), grow(&[(0, 20), (2, 100), (0, 60)]))
            .quiet("20m")
            .fires("25m", &[storm("80")])
            .fires("30m", &[storm("80")])
            .quiet("40m15s"),
        Case::new("stays quiet when the API server is restarted")
            .with(restarts("InferenceModel"), hold(&[("0", 20), ("3", 100)]))
            .with(restarts("Pod"), hold(&[("0", 20), ("3", 100)]))
            .quiet("6m")
            .quiet("20m"),
        Case::new("stays quiet when the API server was away for three minutes")
            .with(restarts("InferenceModel"), grow(&[(0, 20), (2, 12), (0, 100)]))
            .quiet("12m")
            .quiet("21m"),
        Case::new("stays quiet when the operator restarts and its counters begin anew")
            .with(restarts("InferenceModel"), hold(&[("70", 20), ("0", 100)]))
            .quiet("10m")
            .quiet("25m"),
    ]
}
