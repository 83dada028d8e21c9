//! What the alerts about GPUs share: which models have them, and the cases' one GPU.

use belfry_crds::contract::metric::{Counter, Gauge};
use belfry_crds::contract::metrics;
use belfry_crds::inference_model::Device;

use super::alert::Firing;
use super::case::{Expected, expected};
use super::example::POD_A;
use super::promql::{Level, SeriesOf, Total, by};
use super::runbook::{Step, query};
use crate::model::ValidModel;

/// The labels that say which GPU of which pod it is.
pub(super) const LABELS: &[&str] = &["pod", "gpu"];

/// How summaries name it.
pub(super) const SUBJECT: &str =
    "{{ $labels.namespace }}/{{ $labels.model }}: GPU {{ $labels.gpu }} of pod {{ $labels.pod }}";

/// The UUID of the GPU in cases.
const UUID: &str = "GPU-7d1a";

/// These rules for a model on GPUs, and none for another: its workers measure none.
pub(super) fn only(model: &ValidModel, firings: Vec<Firing>) -> Vec<Firing> {
    if model.runtime.device == Device::Cuda { firings } else { vec![] }
}

/// The worst value of each GPU.
pub(super) fn worst(expression: impl std::fmt::Display) -> String {
    by("max", LABELS, expression)
}

/// A gauge of the GPU in cases.
pub(super) fn gauge(model: &ValidModel, metric: &Gauge) -> Level {
    SeriesOf::model(model).gauge(metric).eq("pod", POD_A).eq("gpu", UUID)
}

/// A counter of it.
pub(super) fn counter(model: &ValidModel, metric: &Counter) -> Total {
    SeriesOf::model(model).counter(metric).eq("pod", POD_A).eq("gpu", UUID)
}

/// An alert about it, with these labels beside, and this end of its summary.
pub(super) fn rings(labels: &[(&'static str, &'static str)], summary: &str) -> Expected {
    let all = [&[("pod", POD_A), ("gpu", UUID)][..], labels].concat();
    expected(&all, &format!("search/minilm: GPU {UUID} of pod {POD_A} {summary}"))
}

/// Which product it is, and which driver it has.
pub(super) fn info() -> Step {
    query("Which product is it, and which driver?", |series| {
        by("max", &["pod", "gpu", "name", "driver"], series.gauge(&metrics::GPU_INFO))
    })
}
