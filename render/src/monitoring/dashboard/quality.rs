//! How good the answers are, for models that know something of it.

use belfry_crds::contract::metrics;

use super::panel::{Panel, Row};
use super::query::RATE;
use crate::model::ValidModel;
use crate::monitoring::promql::{SeriesOf, all, by};
use crate::monitoring::quality;

/// `None` for a model without labels and without a baseline: of it there would be ratings alone, which most callers never send.
pub(super) fn row(model: &ValidModel, workers: &SeriesOf) -> Option<Row> {
    let (has_labels, has_baseline) = (quality::has_labels(model), model.baseline.is_some());
    if !has_labels && !has_baseline {
        return None;
    }
    let drift = Panel::lines(
        "Drift from the baseline",
        "none",
        "Population stability index of the last hour's texts, of the worker that changed most. No line: no baseline that can be used, or fewer than 500 texts.",
    )
    .thresholds(&[(0.2, "red")])
    .threshold_lines()
    .query("{{feature}}", by("max", &["feature"], workers.gauge(&metrics::DRIFT_SCORE)));
    let mean = {
        let sum = all("sum", workers.sum(&metrics::PREDICTION_CONFIDENCE).rate(RATE));
        format!("{sum} / ({} > 0)", all("sum", workers.count(&metrics::PREDICTION_CONFIDENCE).rate(RATE)))
    };
    let confidence = Panel::lines(
        "How sure the model is",
        "percentunit",
        "Mean probability of the likeliest label; of a reranker, of its only one.",
    )
    .query("mean", mean);
    let said = Panel::stacked("Ratings", "short", "What callers said about answers, by rating.")
        .query("{{rating}}", by("sum", &["rating"], workers.counter(&metrics::FEEDBACK).increase(RATE)));
    let empty = Panel::lines("Empty answers", "short", "Texts that were answered with nothing in the answer, by pod.")
        .query(
            "{{pod}}",
            format!("{} > 0", by("sum", &["pod"], workers.counter(&metrics::EMPTY_OUTPUTS).increase(RATE))),
        );
    let first = [has_baseline.then_some(drift), has_labels.then_some(confidence)];
    Some(Row {
        title: "Quality",
        panels: first.into_iter().flatten().chain([said, empty]).map(|panel| panel.size(6, 8)).collect(),
    })
}
