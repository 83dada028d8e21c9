//! Too many requests fail. Every model has this alert; where it has an objective of availability, the budget decides who is
//! woken, and this alert is a note beside it.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::{Objective, ValidIndicator, ValidModel};
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example;
use crate::monitoring::failing;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::{self, BURNS, LEAST_ERRORS};
use crate::monitoring::promql::{Record, SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceHighErrorRate",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "Some callers get a 5xx, or no answer in time.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning, AlertSeverity::Info],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    if !objective::counts_failures(model) {
        return vec![];
    }
    if model.monitoring.objectives.iter().any(pages_by_its_budget) {
        return vec![firing(model, AlertSeverity::Info, 5)];
    }
    vec![firing(model, AlertSeverity::Critical, 20), firing(model, AlertSeverity::Warning, 5)]
}

/// Whether the fastest pair of windows of an objective pages before a fifth fails. That of a weak objective does not.
fn pages_by_its_budget(objective: &Objective) -> bool {
    objective.indicator == ValidIndicator::Availability && BURNS[0].threshold(objective) <= 0.2
}

fn firing(model: &ValidModel, severity: AlertSeverity, percent: u32) -> Firing {
    Firing {
        severity,
        expr: format!("{} > {}", SeriesOf::model(model).traffic(&Record::FailedShare), f64::from(percent) / 100.0),
        for_: Some("3m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of requests fail"
            .into(),
        description: None,
    }
}

fn runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than 5 % of the requests of the last five minutes failed, and at least {LEAST_ERRORS}; a quiet model has \
             an hour for as many. It pages from 20 % on. A request \
             fails with a 5xx, or when its caller leaves after waiting longer than the strictest latency objective, and at most 5 s. A model with an objective of availability pages by its budget (InferenceErrorBudgetBurn), and this alert is a note."
        ),
        diagnosis: vec![
            failing::by_reason(),
            query("Do callers give up, and how many in a second?", |series| {
                by("sum", &["pod"], series.count(&metrics::ABANDONED_DURATION).rate("5m"))
            }),
            runbook::pods(),
            runbook::logs(),
        ],
        mitigation: failing::causes().into_iter().chain([
            cause(
                "`deadline_exceeded`, or callers give up.",
                "The model has more to do than it can: raise `spec.replicas`.",
            ),
        ]).collect(),
        resolves: "Two minutes after fewer than 5 % of the last five minutes' requests failed; on a quiet model, of the last ten.".into(),
    }
}

fn failing(share: &str) -> Expected {
    expected(&[], &format!("search/minilm: {share} of requests fail"))
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, answered: String, failed: String| {
        Case::new(name)
            .with(example::requests(model, "200", "ok"), answered)
            .with(example::requests(model, "500", "inference_failed"), failed)
    };
    vec![
        story(
            "fires when a tenth fails, and resolves",
            grow(&[(150, 20), (135, 60), (150, 60)]),
            grow(&[(0, 20), (15, 60), (0, 60)]),
        )
        .quiet("9m")
        .fires("15m", &[failing("10%")])
        .quiet("29m"),
        story(
            "resolves soon after an outage of a busy model",
            grow(&[(150, 20), (0, 40), (150, 80)]),
            grow(&[(0, 20), (150, 40), (0, 80)]),
        )
        .fires("14m", &[failing("100%")])
        .quiet("23m"),
        story(
            "fires when a quiet model fails again and again",
            hold(&[("0", 20), ("1", 12), ("2", 12), ("3", 12), ("4", 12), ("5", 12), ("6", 12), ("7", 60)]),
            hold(&[("0", 20), ("1", 12), ("2", 12), ("3", 12), ("4", 12), ("5", 12), ("6", 60)]),
        )
        .quiet("14m")
        .fires("22m", &[failing("50%")]),
        story("stays quiet when few fail", grow(&[(147, 80)]), grow(&[(3, 80)])).quiet("10m").quiet("19m"),
        story(
            "stays quiet when four requests of a quiet model fail",
            hold(&[("0", 80)]),
            hold(&[("0", 20), ("1", 4), ("2", 4), ("3", 4), ("4", 48)]),
        )
        .quiet("8m")
        .quiet("12m"),
        story("stays quiet on mistakes of the callers", grow(&[(150, 80)]), grow(&[(0, 80)]))
            .with(example::requests(model, "422", "invalid_input"), grow(&[(150, 80)]))
            .quiet("10m")
            .quiet("19m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
    ]
}
