//! The worker's metrics, registered from the contract; no other file makes one.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use belfry_crds::contract::metric::{self, Kind, Metric};
use belfry_crds::contract::metrics as contract;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TEXT_FORMAT, TextEncoder,
};

use crate::endpoint::Endpoint;
use crate::gpu::Gpus;

mod container;
mod exemplars;
mod family;
mod format;
mod gpu;
mod openmetrics;
mod program;

use exemplars::Exemplars;
pub use exemplars::Sampled;
pub use format::Format;

/// Pairs of status and reason that alerts read. Their series start at 0; otherwise the first failure would not be an
/// increase.
const ALERTED: &[(&str, &str)] = &[
    ("200", "ok"),
    ("429", "queue_full"),
    ("499", "client_closed_request"),
    ("500", "inference_failed"),
    ("503", "model_loading"),
    ("503", "draining"),
    ("504", "deadline_exceeded"),
];

/// Every metric of the worker.
pub struct Metrics {
    registry: Registry,
    /// [`contract::REQUESTS`]
    pub requests: IntCounterVec,
    /// [`contract::REQUEST_DURATION`]
    pub request_duration: HistogramVec,
    /// [`contract::ABANDONED_DURATION`]
    pub abandoned_duration: Histogram,
    /// [`contract::TOKENS`]
    pub tokens: IntCounterVec,
    /// [`contract::BATCH_SIZE`]
    pub batch_size: Histogram,
    /// [`contract::REQUEST_BYTES`]
    pub request_bytes: IntCounter,
    /// [`contract::RESPONSE_BYTES`]
    pub response_bytes: IntCounter,
    /// [`contract::BATCH_TOKENS`]
    pub batch_tokens: Histogram,
    /// [`contract::BATCH_TOKENS_LIMIT`]
    pub batch_tokens_limit: IntGauge,
    /// [`contract::DEVICE_BUSY`]
    pub device_busy: Counter,
    /// [`contract::QUEUE_DEPTH`]
    pub queue_depth: IntGauge,
    /// [`contract::QUEUE_CAPACITY`]
    pub queue_capacity: IntGauge,
    /// [`contract::QUEUE_OLDEST_WAIT`]
    pub queue_oldest_wait: Gauge,
    /// [`contract::ACTIVE_REQUESTS`]
    pub active_requests: IntGauge,
    /// [`contract::OPEN_CONNECTIONS`]
    pub connections: IntGauge,
    /// [`contract::CONNECTIONS_LIMIT`]
    pub connections_limit: IntGauge,
    /// [`contract::CONNECTIONS_REFUSED`]
    pub connections_refused: IntCounter,
    /// [`contract::MODEL_LOADED`]
    pub model_loaded: IntGauge,
    /// [`contract::PROBE_SUCCESS`]
    pub probe_success: IntGauge,
    /// [`contract::MODEL_STATE`]
    pub model_state: IntGaugeVec,
    /// [`contract::MODEL_LOAD_DURATION`]
    pub model_load_duration: Gauge,
    /// [`contract::MODEL_LOAD_START`]
    pub model_load_start: Gauge,
    /// [`contract::MODEL_MEMORY`]
    pub model_memory: IntGaugeVec,
    /// [`contract::MODEL_INFO`]
    pub model_info: GaugeVec,
    /// [`contract::DOWNLOAD_SIZE`]
    pub download_size: IntGauge,
    /// [`contract::DOWNLOAD_DONE`]
    pub download_done: IntGauge,
    /// [`contract::DOWNLOAD_RETRIES`]
    pub download_retries: IntCounterVec,
    /// [`contract::LAST_PROGRESS`]
    pub last_progress: Gauge,
    /// [`contract::FEEDBACK`]
    pub feedback: IntCounterVec,
    /// [`contract::PREDICTION_CONFIDENCE`], without a series until a model has labels
    pub prediction_confidence: HistogramVec,
    /// [`contract::EMPTY_OUTPUTS`]
    pub empty_outputs: IntCounter,
    /// [`contract::DRIFT_SCORE`]
    pub drift_score: GaugeVec,
    /// [`contract::DRIFT_BASELINE`]
    pub drift_baseline: IntGaugeVec,
    /// [`contract::WORKER_BUILD_INFO`]
    pub build_info: GaugeVec,
    /// The last reading of the GPUs, which the series about them show.
    pub gpus: Arc<Gpus>,
    exemplars: Exemplars,
}

/// Labels of [`contract::MODEL_INFO`].
pub struct ModelInfo<'a> {
    /// The architecture that config.json names.
    pub architecture: &'a str,
    /// Type of weights and activations.
    pub dtype: &'a str,
    /// `cpu` or `cuda`.
    pub device: &'a str,
    /// The commit; empty if there is none.
    pub revision: &'a str,
    /// SHA-256 of the manifest.
    pub digest: &'a str,
}

impl Metrics {
    /// Registers every metric, and creates the series that rules read, at 0. Fails only if two metrics have the same
    /// name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            requests: register(r, IntCounterVec::new(opts(&contract::REQUESTS), &labels(&contract::REQUESTS))?)?,
            request_duration: histograms(r, &contract::REQUEST_DURATION)?,
            abandoned_duration: histogram(r, &contract::ABANDONED_DURATION)?,
            tokens: register(r, IntCounterVec::new(opts(&contract::TOKENS), &labels(&contract::TOKENS))?)?,
            batch_size: histogram(r, &contract::BATCH_SIZE)?,
            request_bytes: register(r, IntCounter::with_opts(opts(&contract::REQUEST_BYTES))?)?,
            response_bytes: register(r, IntCounter::with_opts(opts(&contract::RESPONSE_BYTES))?)?,
            batch_tokens: histogram(r, &contract::BATCH_TOKENS)?,
            batch_tokens_limit: register(r, IntGauge::with_opts(opts(&contract::BATCH_TOKENS_LIMIT))?)?,
            device_busy: register(r, Counter::with_opts(opts(&contract::DEVICE_BUSY))?)?,
            queue_depth: register(r, IntGauge::with_opts(opts(&contract::QUEUE_DEPTH))?)?,
            queue_capacity: register(r, IntGauge::with_opts(opts(&contract::QUEUE_CAPACITY))?)?,
            queue_oldest_wait: register(r, Gauge::with_opts(opts(&contract::QUEUE_OLDEST_WAIT))?)?,
            active_requests: register(r, IntGauge::with_opts(opts(&contract::ACTIVE_REQUESTS))?)?,
            connections: register(r, IntGauge::with_opts(opts(&contract::OPEN_CONNECTIONS))?)?,
            connections_limit: register(r, IntGauge::with_opts(opts(&contract::CONNECTIONS_LIMIT))?)?,
            connections_refused: register(r, IntCounter::with_opts(opts(&contract::CONNECTIONS_REFUSED))?)?,
            model_loaded: register(r, IntGauge::with_opts(opts(&contract::MODEL_LOADED))?)?,
            probe_success: register(r, IntGauge::with_opts(opts(&contract::PROBE_SUCCESS))?)?,
            model_state: register(r, IntGaugeVec::new(opts(&contract::MODEL_STATE), &labels(&contract::MODEL_STATE))?)?,
            model_load_duration: register(r, Gauge::with_opts(opts(&contract::MODEL_LOAD_DURATION))?)?,
            model_load_start: register(r, Gauge::with_opts(opts(&contract::MODEL_LOAD_START))?)?,
            model_memory: register(
                r,
                IntGaugeVec::new(opts(&contract::MODEL_MEMORY), &labels(&contract::MODEL_MEMORY))?,
            )?,
            model_info: register(r, GaugeVec::new(opts(&contract::MODEL_INFO), &labels(&contract::MODEL_INFO))?)?,
            download_size: register(r, IntGauge::with_opts(opts(&contract::DOWNLOAD_SIZE))?)?,
            download_done: register(r, IntGauge::with_opts(opts(&contract::DOWNLOAD_DONE))?)?,
            download_retries: register(
                r,
                IntCounterVec::new(opts(&contract::DOWNLOAD_RETRIES), &labels(&contract::DOWNLOAD_RETRIES))?,
            )?,
            last_progress: register(r, Gauge::with_opts(opts(&contract::LAST_PROGRESS))?)?,
            feedback: register(r, IntCounterVec::new(opts(&contract::FEEDBACK), &labels(&contract::FEEDBACK))?)?,
            prediction_confidence: histograms(r, &contract::PREDICTION_CONFIDENCE)?,
            empty_outputs: register(r, IntCounter::with_opts(opts(&contract::EMPTY_OUTPUTS))?)?,
            drift_score: register(r, GaugeVec::new(opts(&contract::DRIFT_SCORE), &labels(&contract::DRIFT_SCORE))?)?,
            drift_baseline: register(
                r,
                IntGaugeVec::new(opts(&contract::DRIFT_BASELINE), &labels(&contract::DRIFT_BASELINE))?,
            )?,
            build_info: register(
                r,
                GaugeVec::new(opts(&contract::WORKER_BUILD_INFO), &labels(&contract::WORKER_BUILD_INFO))?,
            )?,
            gpus: Arc::default(),
            exemplars: Exemplars::default(),
            registry,
        };
        metrics.registry.register(Box::new(ProcessCollector::for_self()))?;
        metrics.registry.register(Box::new(container::ContainerCollector::new()?))?;
        metrics.registry.register(Box::new(program::ProgramCollector::new()?))?;
        metrics.registry.register(Box::new(gpu::GpuCollector::new(Arc::clone(&metrics.gpus))?))?;
        metrics.create_series();
        Ok(metrics)
    }

    /// Creates the series that rules read, at 0.
    fn create_series(&self) {
        for endpoint in Endpoint::ALL {
            for (status, reason) in ALERTED {
                self.requests.with_label_values(&[endpoint.path(), *status, *reason]);
            }
        }
        for phase in contract::PHASES {
            self.request_duration.with_label_values(&[*phase]);
        }
        self.tokens.with_label_values(&["input"]);
        for state in contract::MODEL_STATES {
            self.model_state.with_label_values(&[*state]);
        }
        for rating in contract::RATINGS {
            self.feedback.with_label_values(&[*rating]);
        }
        for reason in contract::DOWNLOAD_RETRY_REASONS {
            self.download_retries.with_label_values(&[*reason]);
        }
    }

    /// Counts an answered request. Only one that was served is a sample of latency: a refusal or a failure would look fast.
    pub fn answered(
        &self,
        endpoint: Endpoint,
        (status, reason): (&str, &str),
        took: Duration,
        sampled: Option<Sampled>,
    ) {
        self.requests.with_label_values(&[endpoint.path(), status, reason]).inc();
        if status == "200" {
            self.phase("total", took, sampled);
        }
    }

    /// Records how long a caller waited that left before its answer.
    pub fn abandoned(&self, waited: Duration) {
        self.abandoned_duration.observe(waited.as_secs_f64());
    }

    /// Records one part of a request's time, and whose it was if its trace is kept.
    pub fn phase(&self, phase: &str, took: Duration, sampled: Option<Sampled>) {
        let seconds = took.as_secs_f64();
        self.request_duration.with_label_values(&[phase]).observe(seconds);
        if let Some(sampled) = sampled {
            self.exemplars.keep(phase, sampled, seconds);
        }
    }

    /// Sets the state of the model, and whether it answers.
    pub fn state(&self, state: &str, answers: bool) {
        for other in contract::MODEL_STATES {
            self.model_state.with_label_values(&[*other]).set(i64::from(*other == state));
        }
        self.model_loaded.set(i64::from(answers));
    }

    /// Sets the labels of the served model.
    pub fn model(&self, info: &ModelInfo<'_>) {
        let ModelInfo { architecture, dtype, device, revision, digest } = info;
        self.model_info.with_label_values(&[*architecture, *dtype, *device, *revision, *digest]).set(1.0);
    }

    /// Sets the time of the last progress.
    pub fn progress(&self, now: SystemTime) {
        self.last_progress.set(unix(now));
    }

    /// Every series at this moment.
    pub fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// The exposition, with its content type.
    pub fn render(&self, format: Format) -> Result<(&'static str, String), prometheus::Error> {
        let families = self.families();
        match format {
            Format::Plain => Ok((TEXT_FORMAT, TextEncoder::new().encode_to_string(&families)?)),
            Format::OpenMetrics => {
                let text = openmetrics::encode(&families, &self.exemplars);
                Ok((openmetrics::TYPE, text.map_err(|error| prometheus::Error::Msg(error.to_string()))?))
            }
        }
    }
}

/// Seconds since 1970.
pub fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn labels(metric: &Metric) -> Vec<&'static str> {
    metric.labels.iter().map(|label| label.name).collect()
}

fn buckets(metric: &Metric) -> HistogramOpts {
    let bounds = match metric.kind {
        Kind::Histogram(bounds) => bounds.to_vec(),
        Kind::Counter | Kind::Gauge => Vec::new(),
    };
    HistogramOpts::from(opts(metric)).buckets(bounds)
}

fn histogram(registry: &Registry, metric: &metric::Histogram) -> Result<Histogram, prometheus::Error> {
    register(registry, Histogram::with_opts(buckets(metric))?)
}

fn histograms(registry: &Registry, metric: &metric::Histogram) -> Result<HistogramVec, prometheus::Error> {
    register(registry, HistogramVec::new(buckets(metric), &labels(metric))?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use belfry_crds::contract::metric::{Exporter, Values};

    #[tokio::test]
    async fn the_worker_exports_its_metrics_of_the_contract_and_no_others() {
        let metrics = Metrics::new().unwrap();
        metrics.model(&ModelInfo { architecture: "a", dtype: "b", device: "c", revision: "d", digest: "e" });
        metrics.model_memory.with_label_values(&["cpu"]).set(1);
        metrics.build_info.with_label_values(&["v", "t", "i"]).set(1.0);
        metrics.prediction_confidence.with_label_values::<&str>(&[]);
        metrics.drift_score.with_label_values(&["input_length"]);
        metrics.drift_baseline.with_label_values(&["used"]);
        let exported: BTreeSet<_> = metrics.families().iter().map(|f| f.name().to_owned()).collect();
        // Not every kernel says everything about the container, not every machine has a GPU, and those of the process are Prometheus' own.
        let of_machine = container::METRICS.iter().copied().chain(gpu::metrics());
        let of_machine: BTreeSet<_> = of_machine.map(|metric| metric.name.to_owned()).collect();
        let (of_process, ours): (BTreeSet<_>, _) =
            exported.difference(&of_machine).cloned().partition(|name| name.starts_with("process_"));
        let expected = contract::ALL.iter().filter(|metric| metric.exporter == Exporter::Worker);
        let expected: BTreeSet<_> = expected.map(|metric| metric.name.to_owned()).collect();
        assert_eq!(ours, expected.difference(&of_machine).cloned().collect());
        assert!(of_machine.is_subset(&expected));
        for name in
            ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"]
        {
            assert!(of_process.contains(name), "{name}");
        }
    }

    #[test]
    fn series_that_rules_read_are_there_before_the_first_request() {
        let (_, text) = Metrics::new().unwrap().render(Format::Plain).unwrap();
        for endpoint in Endpoint::ALL {
            for (status, reason) in ALERTED {
                let labels = format!(r#"{{endpoint="{}",reason="{reason}",status="{status}"}} 0"#, endpoint.path());
                assert!(text.contains(&format!("{}{labels}", contract::REQUESTS.name)), "{labels}");
            }
        }
        assert!(
            text.contains(&format!(r#"{}{{le="+Inf",phase="total"}} 0"#, contract::REQUEST_DURATION.bucket()))
                || text.contains(r#"phase="total",le="+Inf"} 0"#)
        );
    }

    #[test]
    fn label_values_that_the_worker_writes_are_in_the_contract() {
        for (status, reason) in ALERTED {
            assert!(contract::STATUSES.contains(status) && contract::REASONS.contains(reason));
        }
        let Values::Closed(devices) = contract::MODEL_MEMORY.labels[0].values else { panic!("closed") };
        assert_eq!(devices, ["cpu", "cuda"]);
    }
}
