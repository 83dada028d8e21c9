//! A metric of another engine → the recording rules that turn it into one of Belfry's.

use belfry_crds::contract::metric::Kind;
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
            // Many counters are born with their first event, which no rate would see, and a sum with one that is not there yet is
            // nothing. A pod that was not scraped just now has no value, so that its return is no burst.
            let born = match mapping.ours.kind {
                Kind::Counter => format!(" or 0 * {}", by("sum", kept, format!("{} == 1", series.up()))),
                Kind::Gauge | Kind::Histogram(_) => String::new(),
            };
            let parts = mapping.series.iter().map(|one| {
                let part = by("sum", kept, series.foreign(one, suffix));
                if born.is_empty() { part } else { format!("({part}{born})") }
            });
            Rule {
                record: Some(format!("{}{suffix}", mapping.ours.name)),
                expr: parts.collect::<Vec<_>>().join(" + "),
                labels: labels.clone(),
                ..Rule::default()
            }
        })
        .collect()
}
