//! A worker has nearly as many connections as it takes, or refuses callers because it has.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example::{self, POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::LEAST_ERRORS;
use crate::monitoring::promql::{Record, SeriesOf, all, by};
use crate::monitoring::runbook::{Runbook, cause, pods, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceConnectionsSaturated",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "New connections get 503, which no other metric counts.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    vec![refusing(model), filling(model)]
}

/// The requests of one full pod are lost although the others have room, so pods are not added up.
fn filling(model: &ValidModel) -> Firing {
    let series = SeriesOf::model(model);
    let fill = format!("{} / {}", series.gauge(&metrics::OPEN_CONNECTIONS), series.gauge(&metrics::CONNECTIONS_LIMIT));
    Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0.8", all("max", fill)),
        for_: Some("2m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: a pod has {{ $value | humanizePercentage }} of the connections that it takes".into(),
        description: None,
    }
}

/// Refused requests are in no other counter, so they are added to the answered ones.
fn refusing(model: &ValidModel) -> Firing {
    let series = SeriesOf::model(model);
    let refused = series.counter(&metrics::CONNECTIONS_REFUSED);
    let lost = all("sum", refused.increase("5m"));
    let answered = all("sum", series.traffic(&Record::Requests("5m")));
    let share = format!("{lost} / ({lost} + ({answered} or vector(0)))");
    Firing {
        severity: AlertSeverity::Critical,
        expr: format!(
            "{share} > 0.05 and {lost} >= {LEAST_ERRORS} and {} > 0",
            // A burst that is over pages no one.
            all("sum", refused.increase("1m"))
        ),
        for_: Some("1m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of requests are refused for want of a connection".into(),
        description: None,
    }
}

fn runbook() -> Runbook {
    let open = |series: &SeriesOf| by("max", &["pod"], series.gauge(&metrics::OPEN_CONNECTIONS));
    Runbook {
        meaning: format!(
            "As a warning: one pod has had more than 80 % of its connections for two minutes. As a page: more than 5 % of the requests, \
             and at least {LEAST_ERRORS}, were refused because a pod had none left. Probes and scrapes have connections of their own, \
             so the pod stays ready. The budget of an availability objective does not see these requests."
        ),
        diagnosis: vec![
            query("Which pods are full?", |series| {
                format!("{} / {}", open(series), by("max", &["pod"], series.gauge(&metrics::CONNECTIONS_LIMIT)))
            }),
            query("Do they come from much traffic, or do many connections wait for their next request?", |series| {
                format!("{} - {}", open(series), by("max", &["pod"], series.gauge(&metrics::ACTIVE_REQUESTS)))
            }),
            pods(),
        ],
        mitigation: vec![
            cause(
                "A caller opens a connection for each request, or never closes its pool.",
                "Let it share connections between requests; ask its owner.",
            ),
            cause("Traffic or the number of callers grew.", "Raise `spec.replicas`."),
            cause(
                "Many callers are connected and ask rarely.",
                "Raise the limit with `--max-connections` in `spec.podTemplate.extraArgs`, or shorten `--keep-alive-seconds`; both restart the pods.",
            ),
        ],
        resolves: "Two minutes after the fullest pod has less than 80 %, and fewer than 5 % of the last five minutes' requests were refused."
            .into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let open = |name: &'static str, a: &[(&str, u32)], b: &[(&str, u32)]| {
        [(POD_A, a), (POD_B, b)].into_iter().fold(Case::new(name), |case, (pod, connections)| {
            case.with(series.gauge(&metrics::CONNECTIONS_LIMIT).eq("pod", pod), hold(&[("1000", 80)]))
                .with(series.gauge(&metrics::OPEN_CONNECTIONS).eq("pod", pod), hold(connections))
        })
    };
    let refusals = |name: &'static str, answered: &[(u32, u32)], refused: &[(u32, u32)]| {
        Case::new(name)
            .with(example::requests(model, "200", "ok"), grow(answered))
            .with(series.counter(&metrics::CONNECTIONS_REFUSED).eq("pod", POD_A), grow(refused))
    };
    let full = expected(&[("severity", "warning")], "search/minilm: a pod has 90% of the connections that it takes");
    vec![
        open(
            "warns when one pod of two is nearly full, and resolves",
            &[("40", 20), ("900", 20), ("40", 40)],
            &[("40", 80)],
        )
        .quiet("6m45s")
        .fires("7m", std::slice::from_ref(&full))
        .fires("11m45s", &[full])
        .quiet("12m"),
        open("stays quiet on a burst of a minute", &[("40", 20), ("1000", 4), ("40", 56)], &[("40", 80)])
            .quiet("6m")
            .quiet("8m"),
        open("stays quiet when no pod has more than 80 %", &[("790", 80)], &[("790", 80)]).quiet("10m"),
        refusals(
            "pages when a tenth of the requests is refused, and resolves",
            &[(150, 20), (135, 40), (150, 60)],
            &[(0, 20), (15, 40), (0, 60)],
        )
        .quiet("7m15s")
        .fires("12m", &[lost("10%")])
        .quiet("23m"),
        Case::new("pages when no request is answered at all")
            .with(series.counter(&metrics::CONNECTIONS_REFUSED).eq("pod", POD_A), grow(&[(0, 20), (15, 60)]))
            .quiet("5m")
            .fires("8m", &[lost("100%")]),
        refusals("stays quiet when few are refused", &[(150, 80)], &[(3, 80)]).quiet("10m").quiet("19m"),
        refusals("stays quiet when a quiet model refuses one", &[(1, 80)], &[(0, 20), (1, 1), (0, 59)]).quiet("7m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
    ]
}

fn lost(share: &str) -> Expected {
    expected(
        &[("severity", "critical")],
        &format!("search/minilm: {share} of requests are refused for want of a connection"),
    )
}
