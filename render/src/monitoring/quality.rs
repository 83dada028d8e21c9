//! What the alerts about quality share: which models have them.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::Task;

use super::alert::Firing;
use super::promql::by;
use super::runbook::{Step, query};
use crate::model::ValidModel;

/// These rules for a model whose texts are compared with a baseline, and none for another.
pub(super) fn with_baseline(model: &ValidModel, firings: Vec<Firing>) -> Vec<Firing> {
    if model.baseline.is_some() { firings } else { vec![] }
}

/// These rules for a model on which an evaluation job writes scores, and none for another.
pub(super) fn evaluated(model: &ValidModel, firings: Vec<Firing>) -> Vec<Firing> {
    if model.is_evaluated { firings } else { vec![] }
}

/// Whether the model has labels to be sure of. A reranker for late interaction has none either, which its task does not say.
pub(super) fn has_labels(model: &ValidModel) -> bool {
    matches!(model.task, Task::Rerank | Task::Classification)
}

/// These rules for a model with labels, and none for another.
pub(super) fn with_labels(model: &ValidModel, firings: Vec<Firing>) -> Vec<Firing> {
    if has_labels(model) { firings } else { vec![] }
}

/// What callers say.
pub(super) fn ratings() -> Step {
    query("What do callers say?", |series| by("sum", &["rating"], series.counter(&metrics::FEEDBACK).increase("6h")))
}
