//! The model is less sure of its answers than the day before.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::quality;
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceConfidenceDrop",
    category: Category::Quality,
    component: AlertComponent::Worker,
    impact: "Labels are more often wrong, or rankings have less that fits.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// The mean of half an hour against that of the day that ended an hour ago, so that neither the hour of the day nor the drop itself
/// is much of it. Few answers have no mean to speak of.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let (sum, count) = (series.sum(&metrics::PREDICTION_CONFIDENCE), series.count(&metrics::PREDICTION_CONFIDENCE));
    let now = |part: &str| all("sum", part);
    let before = |series: &dyn std::fmt::Display| all("sum", format!("increase({series}[1d] offset 1h)"));
    let firings = vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!(
            "({} / {}) / ({} / {}) < 0.8 and on () {} > 100 and on () {} > 500",
            now(&sum.increase("30m")),
            now(&count.increase("30m")),
            before(&sum),
            before(&count),
            now(&count.increase("30m")),
            before(&count),
        ),
        for_: Some("30m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: its answers are {{ $value | humanizePercentage }} as sure as those of the day before"
            .into(),
        description: None,
    }];
    quality::with_labels(model, firings)
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For half an hour the mean probability of the likeliest label, or of a reranker's only one, was less than four fifths of that of the day \
            before. Requests are answered as before."
            .into(),
        diagnosis: vec![
            query("Since when, and on which worker?", |series| {
                let mean = |part: String| format!("sum by (pod) ({part})");
                format!(
                    "{} / {}",
                    mean(series.sum(&metrics::PREDICTION_CONFIDENCE).rate("30m")),
                    mean(series.count(&metrics::PREDICTION_CONFIDENCE).rate("30m"))
                )
            }),
            query("Did other texts begin to come at that time?", |series| {
                all("max", series.gauge(&metrics::DRIFT_SCORE))
            }),
            quality::ratings(),
            runbook::conditions(),
        ],
        mitigation: vec![
            cause("A new version of the model was rolled out at that time.", "Measure it on a set of your own; go back if it is worse. Versions differ in how sure they are: then the alert ends within a day."),
            cause("Callers began to ask about something else.", "Ask the owner of the new caller, and measure the model on such texts."),
            cause("A reranker gets more documents that do not fit, for one since a search before it returns more.", "Nothing is wrong with the model; look at what chooses its documents."),
        ],
        resolves: "When the model is as sure as before, with fewer than 100 answers in half an hour, or when the lower level is that of the day before, too."
            .into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let sum = series.sum(&metrics::PREDICTION_CONFIDENCE).eq("pod", POD_A).to_string();
    let count = series.count(&metrics::PREDICTION_CONFIDENCE).eq("pod", POD_A).to_string();
    let less =
        |share| expected(&[], &format!("search/minilm: its answers are {share} as sure as those of the day before"));
    vec![
        Case::new("fires when answers stay half as sure for an hour, and resolves")
            .with(sum.clone(), grow(&[(8, 480), (4, 300), (8, 300)]))
            .with(count.clone(), grow(&[(10, 1080)]))
            .quiet("120m")
            .quiet("140m")
            .fires("180m", &[less("50%")])
            .quiet("230m"),
        Case::new("stays quiet when answers are a tenth less sure")
            .with(sum.clone(), grow(&[(10, 480), (9, 300)]))
            .with(count.clone(), grow(&[(10, 780)]))
            .quiet("190m"),
        Case::new("stays quiet on few answers, and in the first hours of a model")
            .with(sum, grow(&[(1, 480), (0, 300)]))
            .with(count, grow(&[(1, 780)]))
            .quiet("60m")
            .quiet("118m"),
    ]
}
