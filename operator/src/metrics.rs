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
    requests: IntCounterVec,
    watch_restarts: IntCounterVec,
    backlog: Gauge,
    backlog_age: Gauge,
    cache_objects: GaugeVec,
    leader: Gauge,
    last_reconcile: Gauge,
    /// Counters about models that outlive a single scrape.
    pub restarts: Restarts,
}

/// Counts requests to the API server.
#[derive(Clone)]
pub struct Requests(IntCounterVec);

impl Requests {
    /// Counts one; see [`contract::API_REQUESTS`].
    pub fn count(&self, verb: &str, resource: &str, code: &str) {
        self.0.with_label_values(&[verb, resource, code]).inc();
    }
}

impl Metrics {
    /// Registers everything, with each closed label set born at 0.
    ///
    /// # Errors
    /// Two metrics of the same name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: counters(&registry, &contract::RECONCILES)?,
            reconcile_duration: Histogram::with_opts(histogram_opts(&contract::RECONCILE_DURATION))?,
            writes: counters(&registry, &contract::API_WRITES)?,
            requests: counters(&registry, &contract::API_REQUESTS)?,
            watch_restarts: counters(&registry, &contract::WATCH_RESTARTS)?,
            backlog: gauge(&registry, &contract::RECONCILE_BACKLOG)?,
            backlog_age: gauge(&registry, &contract::RECONCILE_AGE)?,
            cache_objects: gauges(&registry, &contract::CACHE_OBJECTS)?,
            leader: gauge(&registry, &contract::LEADER)?,
            last_reconcile: gauge(&registry, &contract::LAST_RECONCILE)?,
            restarts: Restarts::default(),
            registry,
        };
        metrics.registry.register(Box::new(metrics.reconcile_duration.clone()))?;
        let build = gauges(&metrics.registry, &contract::OPERATOR_BUILD_INFO)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        for outcome in contract::RECONCILE_OUTCOMES {
            metrics.reconciles.with_label_values(&[*outcome]);
        }
        for kind in contract::WRITTEN_KINDS {
            for result in ["ok", "error"] {
                metrics.writes.with_label_values(&[*kind, result]);
            }
        }
        metrics.watch_restarts.with_label_values(&["InferenceModel"]);
        metrics.requests.with_label_values(&["list", "inferencemodels", "200"]);
        metrics.objects([("models", 0), ("children", 0), ("pods", 0)]);
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// The counter of requests, for the client.
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests(self.requests.clone())
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

    /// Counts a watch that broke off.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_restarts.with_label_values(&[kind]).inc();
    }

    /// Shows how many models are due, and for how long the first of them has been.
    pub fn backlog(&self, depth: usize, age: Duration) {
        self.backlog.set(count(depth));
        self.backlog_age.set(age.as_secs_f64());
    }

    /// Shows whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(f64::from(u8::from(leads)));
    }

    /// Shows the size of the cache.
    pub fn objects(&self, sizes: [(&'static str, usize); 3]) {
        for (kind, size) in sizes {
            self.cache_objects.with_label_values(&[kind]).set(count(size));
        }
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

fn counters(registry: &Registry, metric: &Metric) -> Result<IntCounterVec, prometheus::Error> {
    let counters = IntCounterVec::new(opts(metric), &label_names(metric))?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn gauges(registry: &Registry, metric: &Metric) -> Result<GaugeVec, prometheus::Error> {
    let gauges = GaugeVec::new(opts(metric), &label_names(metric))?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

fn gauge(registry: &Registry, metric: &Metric) -> Result<Gauge, prometheus::Error> {
    let gauge = Gauge::with_opts(opts(metric))?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// Exact up to four billion, which no cluster holds.
fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap_or(u32::MAX).into()
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
