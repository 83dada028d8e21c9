//! Many of the ratings that callers send are negative.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all, by};
use crate::monitoring::quality;
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceUserSatisfactionLow",
    category: Category::Quality,
    component: AlertComponent::Worker,
    impact: "People who use the answers say that they do not help.",
    severities: &[AlertSeverity::Info],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let ratings = SeriesOf::model(model).counter(&metrics::FEEDBACK);
    let every = all("sum", ratings.clone().increase("6h"));
    vec![Firing {
        severity: AlertSeverity::Info,
        expr: format!(
            "{} / {every} > 0.3 and on () {every} > 30",
            all("sum", ratings.eq("rating", "negative").increase("6h"))
        ),
        for_: Some("1h"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of the ratings of six hours are negative"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "Of more than thirty ratings in six hours, more than three in ten were negative. What a rating is about is known to the caller: \
            it sent the `request_id`."
            .into(),
        diagnosis: vec![
            quality::ratings(),
            query("Did the model itself change in that time?", |series| {
                by("max", &["pod", "revision", "digest"], series.gauge(&metrics::MODEL_INFO))
            }),
            query("Did requests fail?", |series| {
                by("sum", &["status", "reason"], series.counter(&metrics::REQUESTS).increase("6h"))
            }),
            runbook::logs(),
        ],
        mitigation: vec![
            cause("A new version of the model came before the ratings fell.", "Go back, and measure it on a set of your own."),
            cause("One caller sends most of the negative ratings.", "Ask its owner what people see; the ratings may be about another part of the product."),
            cause("The share was always like this.", "Compare with the weeks before, and set an override, or switch the alert off for this model."),
        ],
        resolves: "When three in ten ratings of six hours, or fewer, are negative, or when no more than thirty come in six hours.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let of = |rating: &str| SeriesOf::model(model).counter(&metrics::FEEDBACK).eq("pod", POD_A).eq("rating", rating);
    let low = expected(&[], "search/minilm: 50% of the ratings of six hours are negative");
    vec![
        Case::new("fires when half of the ratings are negative for an hour, and resolves")
            .with(of("negative"), grow(&[(1, 240), (0, 1500)]))
            .with(of("positive"), grow(&[(1, 240), (0, 1500)]))
            .quiet("55m")
            .fires("75m", &[low])
            .quiet("425m"),
        Case::new("stays quiet when a quarter is negative")
            .with(of("negative"), grow(&[(1, 480)]))
            .with(of("neutral"), grow(&[(1, 480)]))
            .with(of("positive"), grow(&[(2, 480)]))
            .quiet("115m"),
        Case::new("stays quiet on twenty ratings")
            .with(of("negative"), grow(&[(0, 40), (1, 20), (0, 420)]))
            .with(of("positive"), grow(&[(0, 480)]))
            .quiet("115m"),
    ]
}
