//! Recording rules and alerts. [`crate::monitoring`] writes them.

use belfry_crds::monitoring::PrometheusRule;

use super::metadata::{Component, add_annotations, monitoring_labels, object_meta};
use crate::model::ValidModel;
use crate::monitoring;

/// The PrometheusRule of a model.
#[must_use]
pub fn prometheus_rule(model: &ValidModel) -> PrometheusRule {
    let mut metadata = object_meta(model, Component::Monitoring);
    metadata.labels = Some(monitoring_labels(model));
    add_annotations(&mut metadata, &model.monitoring.annotations);
    PrometheusRule { metadata, spec: monitoring::rules(model) }
}
