//! Requests are refused because queues are full.

use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::{self, LEAST_ERRORS};
use crate::monitoring::overload;
use crate::monitoring::promql::{Record, SeriesOf};
use crate::monitoring::runbook::Runbook;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceRequestsRejected",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "Some callers are refused with 429 and have to come again.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    if !objective::counts_refusals(model) {
        return vec![];
    }
    let firing = |severity, share: f64, for_| {
        Firing {
        severity,
        expr: format!("{} > {share}", SeriesOf::model(model).traffic(&Record::RefusedShare)),
        for_: Some(for_),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of requests are refused with 429"
            .into(),
        description: None,
    }
    };
    // A refusal that comes again and again is no answer: for callers, a model that refuses most of them is down.
    vec![firing(AlertSeverity::Critical, 0.5, "10m"), firing(AlertSeverity::Warning, 0.05, "5m")]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than 5 % of the requests of the last five minutes were refused because a queue was full, and at least {LEAST_ERRORS}; a quiet \
             model has an hour for as many. Refusing is what keeps the \
             accepted requests fast; the alert says that it happens too often. It pages when more than half has been refused for ten \
             minutes. 429 does not spend the budget of an availability objective."
        ),
        diagnosis: overload::diagnosis(),
        mitigation: overload::cures(),
        resolves: "Two minutes after fewer than 5 % of the last five minutes' requests were refused; on a quiet model, of the last ten.".into(),
    }
}

fn every(severity: &'static str) -> Expected {
    expected(&[("severity", severity)], "search/minilm: 100% of requests are refused with 429")
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, ok: String, refused: String| {
        Case::new(name)
            .with(example::requests(model, "200", "ok"), ok)
            .with(example::requests(model, "429", "queue_full"), refused)
    };
    let mostly = expected(&[("severity", "critical")], "search/minilm: 80% of requests are refused with 429");
    let many = expected(&[("severity", "warning")], "search/minilm: 80% of requests are refused with 429");
    let fires = expected(&[("severity", "warning")], "search/minilm: 10% of requests are refused with 429");
    vec![
        story(
            "fires when a tenth is refused, and resolves",
            grow(&[(150, 20), (135, 60), (150, 60)]),
            grow(&[(0, 20), (15, 60), (0, 60)]),
        )
        .quiet("10m")
        .fires("13m", std::slice::from_ref(&fires))
        .fires("20m", &[fires])
        .quiet("25m"),
        story(
            "pages when most requests have been refused for ten minutes",
            grow(&[(150, 20), (30, 60)]),
            grow(&[(0, 20), (120, 60)]),
        )
        .quiet("9m")
        .fires("19m", &[mostly, many]),
        story("stays quiet when few are refused", grow(&[(147, 80)]), grow(&[(3, 80)])).quiet("10m").quiet("19m"),
        story(
            "stays quiet when a quiet model refuses one request in two minutes",
            hold(&[("0", 80)]),
            hold(&[("0", 20), ("1", 8), ("2", 8), ("3", 8), ("4", 8), ("5", 8), ("6", 20)]),
        )
        .quiet("12m")
        .quiet("16m"),
        story(
            "pages when a quiet model refuses every request",
            hold(&[("0", 140)]),
            hold(&[
                ("0", 20),
                ("1", 8),
                ("2", 8),
                ("3", 8),
                ("4", 8),
                ("5", 8),
                ("6", 8),
                ("7", 8),
                ("8", 8),
                ("9", 8),
                ("10", 48),
            ]),
        )
        .quiet("16m")
        .fires("24m", &[every("critical"), every("warning")])
        .quiet("36m"),
        story(
            "stays quiet when four requests of a quiet model are refused",
            hold(&[("0", 140)]),
            hold(&[("0", 20), ("1", 8), ("2", 8), ("3", 8), ("4", 96)]),
        )
        .quiet("12m")
        .quiet("30m"),
        story("stays quiet on a burst of two minutes", grow(&[(150, 80)]), grow(&[(0, 20), (15, 8), (0, 52)]))
            .quiet("8m")
            .quiet("12m"),
        story("stays quiet on other mistakes of the callers", grow(&[(150, 80)]), grow(&[(0, 80)]))
            .with(example::requests(model, "413", "request_too_large"), grow(&[(150, 80)]))
            .quiet("10m")
            .quiet("19m"),
    ]
}
