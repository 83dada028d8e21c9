//! An evaluation job measured the model, and it is worse than it must be, or than the day before.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{Level, SeriesOf, by};
use crate::monitoring::quality;
use crate::monitoring::runbook::{Runbook, cause, query, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceAccuracyDrop",
    category: Category::Quality,
    component: AlertComponent::Worker,
    impact: "Answers are worse than they were, on the data set of the evaluation.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// A score has no threshold that fits every data set: the job says the least that it must be, or else the day before does.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let (score, least) = (series.gauge(&metrics::MODEL_ACCURACY), series.gauge(&metrics::MODEL_ACCURACY_MINIMUM));
    let before = by("max", &["dataset"], score.before("1d"));
    let of = |expression: String| by("max", &["version", "dataset"], expression);
    let firings = vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!(
            "{now} < {} or {now} < on (dataset) group_left () 0.97 * {before}",
            of(least.to_string()),
            now = of(score.to_string()),
        ),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: version {{ $labels.version }} scores {{ $value | humanizePercentage }} on {{ $labels.dataset }}, less than it must or than a day before"
            .into(),
        description: None,
    }];
    quality::evaluated(model, firings)
}

fn scores(series: Level) -> String {
    by("max", &["version", "dataset"], series)
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The last score that an evaluation job wrote on the InferenceModel is below the minimum that it wrote beside it, or more than three \
            hundredths below the score of the day before."
            .into(),
        diagnosis: vec![
            query("What is the score of each data set, and of which version?", |series| scores(series.gauge(&metrics::MODEL_ACCURACY))),
            query("What must it be?", |series| scores(series.gauge(&metrics::MODEL_ACCURACY_MINIMUM))),
            query("Which files do the workers serve?", |series| {
                by("max", &["pod", "revision", "digest"], series.gauge(&metrics::MODEL_INFO))
            }),
            shell(
                "What did the job write, and when?",
                "kubectl -n \"$NAMESPACE\" get inferencemodel \"$MODEL\" -o yaml | grep accuracy.belfry.dev",
            ),
        ],
        mitigation: vec![
            cause("The version is new.", "Go back to the one before, and let its owner measure it by hand."),
            cause("The version is the same.", "Look whether the data set or the job was changed; ask the job to measure once more."),
            cause("All versions fell on one data set.", "The data set is at fault, or what the job sends: a prompt, or how texts are cut."),
        ],
        resolves: "When the job writes a score that is high enough, or a day after the drop, where there is no minimum.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let of = |metric, version: &str| SeriesOf::model(model).gauge(metric).eq("version", version).eq("dataset", "stsb");
    let (score, least) = (&metrics::MODEL_ACCURACY, &metrics::MODEL_ACCURACY_MINIMUM);
    let drop = |version, value: &str| {
        expected(
            &[("version", version), ("dataset", "stsb")],
            &format!("search/minilm: version {version} scores {value} on stsb, less than it must or than a day before"),
        )
    };
    vec![
        Case::new("fires when a score is below its minimum, and resolves")
            .with(of(score, "v3"), hold(&[("0.86", 40), ("0.79", 120), ("0.85", 80)]))
            .with(of(least, "v3"), hold(&[("0.8", 240)]))
            .quiet("9m")
            .fires("25m", &[drop("v3", "79%")])
            .quiet("45m"),
        Case::new("fires when a new version is worse than that of the day before")
            .with(of(score, "v3"), hold(&[("0.86", 5760), ("stale", 1), ("_", 120)]))
            .with(of(score, "v4"), hold(&[("_", 5760), ("0.80", 120)]))
            .quiet("23h59m")
            .fires("24h20m", &[drop("v4", "80%")]),
        Case::new("stays quiet when a score is a little lower, and where there is no minimum")
            .with(of(score, "v3"), hold(&[("0.86", 40), ("0.85", 120)]))
            .quiet("35m"),
    ]
}
