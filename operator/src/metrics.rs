//! The operator's own metrics, registered from the contract.

use std::time::{Duration, Instant};

use belfry_crds::contract::metric::{Kind, Metric};
use belfry_crds::contract::metrics as contract;
use belfry_crds::contract::outcome::Outcome;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

/// Handles of the operator's metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_duration: Histogram,
    running: Gauge,
    capacity: Gauge,
    writes: IntCounterVec,
    requests: RequestCounts,
    watch_restarts: IntCounterVec,
    backlog: Gauge,
    backlog_age: Gauge,
    /// Since when the model at the head of the queue has waited. The age is computed at the scrape, because a queue that is
    /// stuck makes no call.
    waiting_since: Mutex<Option<Instant>>,
    cache_objects: GaugeVec,
    leader: Gauge,
    last_reconcile: Gauge,
}

/// Counts requests to the API server.
#[derive(Clone)]
pub struct RequestCounts {
    counts: IntCounterVec,
    durations: HistogramVec,
    last_sync: GaugeVec,
}

impl RequestCounts {
    /// Counts one, with the time until its answer began; see [`contract::API_REQUESTS`].
    pub fn count(&self, verb: &str, resource: &str, code: &str, took: Duration) {
        self.counts.with_label_values(&[verb, resource, code]).inc();
        self.durations.with_label_values(&[verb]).observe(took.as_secs_f64());
        if matches!(verb, "list" | "watch") && code == "200" {
            self.last_sync.with_label_values(&[resource]).set(unix_seconds(Timestamp::now()));
        }
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
            running: gauge(&registry, &contract::RECONCILES_RUNNING)?,
            capacity: gauge(&registry, &contract::RECONCILE_CAPACITY)?,
            writes: counters(&registry, &contract::API_WRITES)?,
            requests: RequestCounts {
                counts: counters(&registry, &contract::API_REQUESTS)?,
                durations: HistogramVec::new(
                    histogram_opts(&contract::API_REQUEST_DURATION),
                    &label_names(&contract::API_REQUEST_DURATION),
                )?,
                last_sync: gauges(&registry, &contract::LAST_SYNC)?,
            },
            watch_restarts: counters(&registry, &contract::WATCH_RESTARTS)?,
            backlog: gauge(&registry, &contract::RECONCILE_BACKLOG)?,
            backlog_age: gauge(&registry, &contract::RECONCILE_AGE)?,
            waiting_since: Mutex::default(),
            cache_objects: gauges(&registry, &contract::CACHE_OBJECTS)?,
            leader: gauge(&registry, &contract::LEADER)?,
            last_reconcile: gauge(&registry, &contract::LAST_RECONCILE)?,
            registry,
        };
        metrics.registry.register(Box::new(metrics.reconcile_duration.clone()))?;
        metrics.registry.register(Box::new(metrics.requests.durations.clone()))?;
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
        for verb in contract::REQUEST_VERBS {
            metrics.requests.durations.with_label_values(&[*verb]);
        }
        metrics.requests.counts.with_label_values(&["list", "inferencemodels", "200"]);
        metrics.requests.last_sync.with_label_values(&["inferencemodels"]);
        metrics.objects([("models", 0), ("children", 0), ("pods", 0), ("nodes", 0)]);
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// The counter of requests, for the client.
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.requests.clone()
    }

    /// Counts a pass.
    pub fn reconciled(&self, outcome: Outcome, took: Duration) {
        self.reconciles.with_label_values(&[outcome.as_str()]).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
        if outcome != Outcome::Failed {
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

    /// Shows how many models are due, for how long the first of them has been, and how many are worked on.
    pub fn backlog(&self, depth: usize, age: Duration, running: usize) {
        self.backlog.set(count(depth));
        *self.waiting_since.lock() = Instant::now().checked_sub(age).filter(|_| depth > 0);
        self.running.set(count(running));
    }

    /// Shows how many models can be worked on at the same time.
    pub fn concurrency(&self, most: usize) {
        self.capacity.set(count(most));
    }

    /// Shows whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(f64::from(u8::from(leads)));
    }

    /// Shows the size of the cache.
    pub fn objects(&self, sizes: [(&'static str, usize); 4]) {
        for (kind, size) in sizes {
            self.cache_objects.with_label_values(&[kind]).set(count(size));
        }
    }

    /// The exposition of what the operator says about itself.
    ///
    /// # Errors
    /// The encoder refused a family, which a test rules out.
    pub fn expose(&self) -> Result<String, prometheus::Error> {
        let since = *self.waiting_since.lock();
        self.backlog_age.set(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        let mut buffer = vec![];
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
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
        let text = Metrics::new().unwrap().expose().unwrap();
        for metric in contract::ALL.iter().filter(|m| m.exporter == Exporter::Operator) {
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{}", metric.name);
        }
    }

    fn value(metrics: &Metrics, series: &str) -> f64 {
        let text = metrics.expose().unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap()
    }

    #[test]
    fn the_age_of_a_queue_that_is_stuck_grows_although_nothing_happens() {
        let metrics = Metrics::new().unwrap();
        metrics.backlog(3, Duration::from_secs(40), 16);
        let age = || value(&metrics, contract::RECONCILE_AGE.name);
        let first = age();
        assert!(first >= 40.0 && age() > first);
        metrics.backlog(0, Duration::ZERO, 0);
        assert!(age() <= 0.0);
    }

    #[test]
    fn only_a_list_or_a_watch_that_was_granted_is_a_sync() {
        let metrics = Metrics::new().unwrap();
        let last_sync =
            || value(&metrics, r#"belfry_operator_last_sync_timestamp_seconds{resource="inferencemodels"}"#);
        for (verb, code) in [("list", "403"), ("watch", "error"), ("patch", "200")] {
            metrics.requests().count(verb, "inferencemodels", code, Duration::ZERO);
            assert!(last_sync() <= 0.0, "{verb} {code}");
        }
        metrics.requests().count("watch", "inferencemodels", "200", Duration::ZERO);
        assert!(last_sync() > 1.7e9);
    }
}
