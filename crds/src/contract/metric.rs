//! The definition of a metric: its name, kind, unit, help, labels and buckets.
//!
//! Rules and dashboards are generated from these types, and the worker registers its metrics from them. A rule that
//! reads a bucket of a counter, or a metric that no process exports, does not compile.

/// The process that exports a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exporter {
    /// The process that serves a model. Prometheus adds `namespace`, `model` and `pod`.
    Worker,
    /// The operator, about its models; the series carry `namespace` and `model` themselves.
    OperatorAboutModels,
    /// The operator, about itself.
    Operator,
}

/// The values that a label can take. There is no third case: a label filled from requests would have an unbounded
/// number of values (invariant 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Exactly these values.
    Closed(&'static [&'static str]),
    /// One value per object of this kind in the cluster, or per process.
    OnePer(&'static str),
}

/// A label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label's name.
    pub name: &'static str,
    /// The values that it can take.
    pub values: Values,
}

/// The kind of a metric, with the buckets of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations under upper bounds; `+Inf` is added.
    Histogram(&'static [f64]),
}

/// One metric of the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name of the family: without `_bucket`, `_sum`, `_count`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// `seconds`, `bytes`, `tokens`, `requests`, `texts`, `replicas`, `timestamp` or `bool`.
    pub unit: &'static str,
    /// One sentence; it is the HELP line of the exposition.
    pub help: &'static str,
    /// Labels, in the order in which values are given.
    pub labels: &'static [Label],
    /// The process that exports it.
    pub exporter: Exporter,
}

macro_rules! metric_kinds {
    ($($(#[$doc:meta])* $kind:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $kind(pub Metric);

        impl std::ops::Deref for $kind {
            type Target = Metric;
            fn deref(&self) -> &Metric {
                &self.0
            }
        }
    )*};
}
metric_kinds!(
    /// A metric that is a counter.
    Counter,
    /// A metric that is a gauge.
    Gauge,
    /// A metric that is a histogram.
    Histogram
);

impl Histogram {
    /// Name of the series that counts observations up to `le`.
    #[must_use]
    pub fn bucket(&self) -> String {
        format!("{}_bucket", self.name)
    }

    /// Name of the series that counts all observations.
    #[must_use]
    pub fn count(&self) -> String {
        format!("{}_count", self.name)
    }

    /// Name of the series that sums up the observations.
    #[must_use]
    pub fn sum(&self) -> String {
        format!("{}_sum", self.name)
    }

    /// A bucket bound as Prometheus 3 writes it in `le`: always with a decimal point.
    #[must_use]
    pub fn le(bound: f64) -> String {
        format!("{bound:?}")
    }
}
