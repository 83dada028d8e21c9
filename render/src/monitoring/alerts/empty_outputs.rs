//! Requests are answered with 200, and with nothing in the answer.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceEmptyOutputs",
    category: Category::Quality,
    component: AlertComponent::Worker,
    impact: "Callers get vectors of zeros or no words at all, and may store them.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// Of texts, since a request may have many.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let empty = all("sum", series.counter(&metrics::EMPTY_OUTPUTS).increase("10m"));
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!(
            "{empty} / {} > 0.02 and on () {empty} >= 5",
            all("sum", series.sum(&metrics::BATCH_SIZE).increase("10m"))
        ),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of the texts were answered with nothing in the answer"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "More than two of a hundred texts were answered with 200, and with a vector of zeros, no word with a weight, or no vector of a token. \
            Numbers that are not finite are no such answers: they fail with `inference_failed`."
            .into(),
        diagnosis: vec![
            query("On which worker, and since when?", |series| {
                by("sum", &["pod"], series.counter(&metrics::EMPTY_OUTPUTS).increase("10m"))
            }),
            query("Which files and which data type does each have?", |series| {
                by("max", &["pod", "dtype", "digest"], series.gauge(&metrics::MODEL_INFO))
            }),
            runbook::logs(),
        ],
        mitigation: vec![
            cause("One worker, and others of the same digest have none.", "Its memory or its device is at fault: delete the pod, and have the node looked at."),
            cause("All workers, since a rollout.", "The files or the data type are wrong: go back, or set `spec.runtime.dtype: float32`."),
            cause("A sparse model, and texts of signs, of another language, or of a word that it does not know.", "The model has no words for them. Ask the caller's owner to leave such texts out."),
        ],
        resolves: "When fewer than two of a hundred texts of ten minutes are answered so.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let empty = series.counter(&metrics::EMPTY_OUTPUTS).eq("pod", POD_A).to_string();
    let texts = series.sum(&metrics::BATCH_SIZE).eq("pod", POD_A).to_string();
    let tenth = expected(&[], "search/minilm: 10% of the texts were answered with nothing in the answer");
    vec![
        Case::new("fires when a tenth of the answers has nothing in it, and resolves")
            .with(empty.clone(), grow(&[(0, 40), (2, 120), (0, 120)]))
            .with(texts.clone(), grow(&[(20, 280)]))
            .quiet("15m")
            .fires("35m", &[tenth])
            .quiet("55m"),
        Case::new("stays quiet on one of a hundred, and on four texts")
            .with(empty.clone(), grow(&[(1, 160)]))
            .with(texts.clone(), grow(&[(100, 160)]))
            .quiet("35m"),
        Case::new("stays quiet on four texts of a model that few ask")
            .with(empty, grow(&[(0, 40), (1, 4), (0, 120)]))
            .with(texts, grow(&[(0, 40), (1, 4), (0, 120)]))
            .quiet("15m")
            .quiet("22m"),
    ]
}
