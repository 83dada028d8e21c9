//! A mapping from an engine's metrics to one of Belfry's, and the series that the mapping yields.

use std::collections::BTreeMap;

use belfry_crds::contract::metric::{Histogram, Kind, Metric};
use belfry_crds::contract::{metrics, threshold_seconds};
use belfry_crds::inference_model::MetricMapping;

/// One of Belfry's metrics, and the series of an engine that mean the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// Belfry's metric.
    pub ours: &'static Metric,
    /// Values of Belfry's labels that these series stand for.
    pub labels: BTreeMap<String, String>,
    /// The engine's series, which are added up; they have the kind and unit of Belfry's metric.
    pub series: Vec<EngineSeries>,
    /// Bucket bounds of the engine that the API has as thresholds of a latency objective, as the API spells them.
    pub thresholds: Vec<String>,
}

/// Series of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSeries {
    /// Name of the metric; for a histogram, without `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// Labels that the series must have, with their values.
    pub equal: Vec<(String, String)>,
    /// Labels that the series must have, with a regular expression that matches their values.
    pub like: Vec<(String, String)>,
}

impl EngineSeries {
    /// All series of a metric.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), equal: vec![], like: vec![] }
    }

    /// Keeps only series whose label has this value.
    #[must_use]
    pub fn equal(mut self, label: &str, value: &str) -> Self {
        self.equal.push((label.into(), value.into()));
        self
    }

    /// Keeps only series whose label matches this regular expression.
    #[must_use]
    pub fn like(mut self, label: &str, expression: &str) -> Self {
        self.like.push((label.into(), expression.into()));
        self
    }
}

impl Mapping {
    /// One of Belfry's metrics, without labels, from one of the engine's.
    #[must_use]
    pub fn new(ours: &'static Metric, series: EngineSeries) -> Self {
        Self { ours, labels: BTreeMap::new(), series: vec![series], thresholds: vec![] }
    }

    /// Sets the value of one of Belfry's labels that these series stand for.
    #[must_use]
    pub fn standing_for(mut self, label: &str, value: &str) -> Self {
        self.labels.insert(label.into(), value.into());
        self
    }

    /// Adds another of the engine's metrics.
    #[must_use]
    pub fn and(mut self, series: EngineSeries) -> Self {
        self.series.push(series);
        self
    }

    /// Sets the bucket bounds that are thresholds of the API.
    #[must_use]
    pub fn thresholds(mut self, thresholds: &[&str]) -> Self {
        self.thresholds = thresholds.iter().map(|t| (*t).to_owned()).collect();
        self
    }

    /// A mapping of the specification; `None` for a metric that is not in the contract, which the API does not admit.
    #[must_use]
    pub fn of_user(spec: &MetricMapping) -> Option<Self> {
        let ours = metrics::ALL.iter().find(|metric| metric.name == spec.name.as_str())?;
        let mut labels = spec.labels.clone();
        labels.retain(|label, _| ours.labels.iter().any(|known| known.name == label));
        if ours.name == metrics::REQUEST_DURATION.name {
            labels.entry("phase".into()).or_insert_with(|| "total".into());
        }
        if ours.name == metrics::TOKENS.name {
            labels.insert("type".into(), "input".into());
        }
        let equal = spec.matching.clone().into_iter().collect();
        let series = EngineSeries { name: spec.from.clone(), equal, like: vec![] };
        Some(Self { ours, labels, series: vec![series], thresholds: spec.thresholds.clone() })
    }

    /// Suffixes of the names of the mapping's series: three for a histogram.
    #[must_use]
    pub fn suffixes(&self) -> &'static [&'static str] {
        match self.ours.kind {
            Kind::Histogram(_) => &["_bucket", "_sum", "_count"],
            Kind::Counter | Kind::Gauge => &[""],
        }
    }

    /// The bounds that Belfry's histogram has, as Prometheus 3 writes them.
    pub fn bounds(&self) -> impl Iterator<Item = String> {
        let thresholds = self.thresholds.iter().filter_map(|threshold| threshold_seconds(threshold)).map(Histogram::le);
        std::iter::once("+Inf".to_owned()).chain(thresholds)
    }
}
