//! A metric of another engine → the recording rules that turn it into one of Belfry's.

use belfry_crds::monitoring::Rule;

use super::promql::{SeriesOf, by};
use crate::engine::Mapping;
use crate::model::ValidModel;

/// One rule for each series of Belfry's metric, by pod.
pub(super) fn records(model: &ValidModel, mapping: &Mapping) -> Vec<Rule> {
    let series = SeriesOf::model(model);
    let mut labels = mapping.labels.clone();
    labels.insert("namespace".into(), model.namespace.clone());
    labels.insert("model".into(), model.name.clone());
    mapping
        .suffixes()
        .iter()
        .map(|suffix| {
            let kept: &[&str] = if *suffix == "_bucket" { &["pod", "le"] } else { &["pod"] };
            let parts = mapping.series.iter().map(|one| by("sum", kept, series.foreign(one, suffix)));
            Rule {
                record: Some(format!("{}{suffix}", mapping.ours.name)),
                expr: parts.collect::<Vec<_>>().join(" + "),
                labels: labels.clone(),
                ..Rule::default()
            }
        })
        .collect()
}
