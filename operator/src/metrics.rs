//! The operator's own metrics, registered from the contract.

mod fleet;
pub mod restarts;

use std::time::Duration;

use belfry_crds::contract::metric::{Kind, Metric};
use belfry_crds::contract::metrics as contract;
use k8s_openapi::jiff::Timestamp;
use prometheus::{Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounterVec, Opts, Registry, TextEncoder};

pub use fleet::fleet;

use restarts::Restarts;

/// Handles of the operator's metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_duration: Histogram,
    writes: IntCounterVec,
    last_reconcile: Gauge,
    /// Counters about models that outlive a single scrape.
    pub restarts: Restarts,
}

impl Metrics {
    /// Registers everything, with each closed label set born at 0.
    ///
    /// # Errors
    /// Two metrics of the same name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: IntCounterVec::new(opts(&contract::RECONCILES), &label_names(&contract::RECONCILES))?,
            reconcile_duration: Histogram::with_opts(histogram_opts(&contract::RECONCILE_DURATION))?,
            writes: IntCounterVec::new(opts(&contract::API_WRITES), &label_names(&contract::API_WRITES))?,
            last_reconcile: Gauge::with_opts(opts(&contract::LAST_RECONCILE))?,
            restarts: Restarts::default(),
            registry,
        };
        let build = GaugeVec::new(opts(&contract::OPERATOR_BUILD_INFO), &label_names(&contract::OPERATOR_BUILD_INFO))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        for outcome in contract::RECONCILE_OUTCOMES {
            metrics.reconciles.with_label_values(&[*outcome]);
        }
        for kind in contract::WRITTEN_KINDS {
            for result in ["ok", "error"] {
                metrics.writes.with_label_values(&[*kind, result]);
            }
        }
        let collectors: [Box<dyn prometheus::core::Collector>; 5] = [
            Box::new(metrics.reconciles.clone()),
            Box::new(metrics.reconcile_duration.clone()),
            Box::new(metrics.writes.clone()),
            Box::new(metrics.last_reconcile.clone()),
            Box::new(build),
        ];
        for collector in collectors {
            metrics.registry.register(collector)?;
        }
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// Counts a pass.
    pub fn reconciled(&self, outcome: &str, took: Duration) {
        self.reconciles.with_label_values(&[outcome]).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
        if outcome != "failed" {
            self.last_reconcile.set(unix_seconds(Timestamp::now()));
        }
    }

    /// Counts a write to the API server.
    pub fn write(&self, kind: &str, ok: bool) {
        self.writes.with_label_values(&[kind, if ok { "ok" } else { "error" }]).inc();
    }

    /// The exposition: the operator's own metrics, then the fleet's.
    ///
    /// # Errors
    /// The encoder refused a family, which a test rules out.
    pub fn expose(&self, fleet: &[prometheus::proto::MetricFamily]) -> Result<String, prometheus::Error> {
        let mut buffer = vec![];
        let encoder = TextEncoder::new();
        encoder.encode(&self.registry.gather(), &mut buffer)?;
        encoder.encode(fleet, &mut buffer)?;
        String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

fn unix_seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_opts(metric: &Metric) -> HistogramOpts {
    let buckets = match metric.kind {
        Kind::Histogram(buckets) => buckets.to_vec(),
        Kind::Counter | Kind::Gauge => vec![],
    };
    HistogramOpts::from(opts(metric)).buckets(buckets)
}

fn label_names(metric: &Metric) -> Vec<&'static str> {
    metric.labels.iter().map(|label| label.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::contract::metric::Exporter;

    #[test]
    fn the_exposition_holds_every_metric_that_the_operator_exports_about_itself() {
        let text = Metrics::new().unwrap().expose(&[]).unwrap();
        for metric in contract::ALL.iter().filter(|m| m.exporter == Exporter::Operator) {
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{}", metric.name);
        }
    }
}
