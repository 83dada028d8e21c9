//! Parts of queries that several rows use.

use belfry_crds::contract::metrics;

use crate::monitoring::objective;
use crate::monitoring::promql::{SeriesOf, by};

/// Window of rates: at least four scrapes, and at least the distance between two points of the graph.
pub(super) const RATE: &str = "$__rate_interval";

/// Time within which this share of all requests was answered.
pub(super) fn latency_quantile(series: &SeriesOf, quantile: f64) -> String {
    phase_quantile(series, quantile, "total", &[])
}

/// Time within which this share of all requests went through a phase, for each combination of the labels.
pub(super) fn phase_quantile(series: &SeriesOf, quantile: f64, phase: &str, labels: &[&str]) -> String {
    let buckets = series.buckets(&metrics::REQUEST_DURATION).eq("phase", phase);
    let labels: Vec<_> = labels.iter().chain(&["le"]).copied().collect();
    format!("histogram_quantile({quantile}, {})", by("sum", &labels, buckets.rate(RATE)))
}

/// Share of all requests that were not answered with a 5xx.
pub(super) fn success_ratio(series: &SeriesOf) -> String {
    let requests = series.counter(&metrics::REQUESTS).rate(RATE);
    let failed = objective::failed(series).rate(RATE);
    format!("1 - (sum({failed}) or 0 * sum({requests})) / (sum({requests}) > 0)")
}
