//! Parts of queries that several rows use.

use belfry_crds::contract::metrics;

use crate::monitoring::promql::{SeriesOf, by};

/// Window of rates: at least four scrapes, and at least the distance between two points of the graph.
pub(super) const RATE: &str = "$__rate_interval";

/// Time within which this share of all requests was answered.
pub(super) fn latency_quantile(series: &SeriesOf, quantile: f64) -> String {
    let buckets = series.buckets(&metrics::REQUEST_DURATION).eq("phase", "total");
    format!("histogram_quantile({quantile}, {})", by("sum", &["le"], buckets.rate(RATE)))
}
