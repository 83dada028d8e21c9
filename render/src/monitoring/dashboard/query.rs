//! Parts of queries that several rows use.

use belfry_crds::contract::metrics;

use crate::monitoring::promql::{Scope, by};

/// At least four scrapes, and at least the distance of two points.
pub(super) const RATE: &str = "$__rate_interval";

/// The time within which this share of all requests was answered.
pub(super) fn latency_quantile(scope: &Scope, quantile: f64) -> String {
    let buckets = scope.buckets(&metrics::REQUEST_DURATION).eq("phase", "total");
    format!("histogram_quantile({quantile}, {})", by("sum", &["le"], buckets.rate(RATE)))
}
