//! The contract between the operator, which writes pods, probes, rules and dashboards, and the
//! worker, which serves them: ports, probe paths, settings, failure reasons and metrics.
//!
//! Both sides compile against this module, so neither can drift from the other. A change here affects a running fleet,
//! because old workers stay up when the operator is upgraded. So names are only added; a name is removed one release
//! after its last reader.

pub mod defaults;
pub mod env;
pub mod load_failure;
pub mod metric;
pub mod metrics;
pub mod outcome;
pub mod quality;
pub mod status;

/// TCP port on which a worker serves requests, probes and metrics.
pub const PORT: u16 = 8080;

/// Name of that port on the pod, the Service and the ServiceMonitor.
pub const PORT_NAME: &str = "http";

/// Name of the metrics port of an engine that has a separate one.
pub const METRICS_PORT_NAME: &str = "metrics";

/// Liveness: 200 while the process makes progress. Never depends on load or on the queue.
pub const LIVENESS_PATH: &str = "/healthz";

/// Readiness: 200 once the model is loaded and warm, 503 while loading and while draining.
pub const READINESS_PATH: &str = "/readyz";

/// Prometheus text exposition.
pub const METRICS_PATH: &str = "/metrics";

/// Folder where a worker's pod mounts a `pvc` or `oci` source, read-only.
pub const MODEL_MOUNT: &str = "/models";

/// Folder for downloads of a `huggingFace` or `s3` source: scratch space of a worker's pod, or a shared claim.
pub const CACHE_MOUNT: &str = "/cache";

/// Folder where a pod mounts the certificates of its download's authorities, read-only.
pub const CA_MOUNT: &str = "/etc/belfry/ca";

/// Name of the file there.
pub const CA_FILE_NAME: &str = "ca.crt";

/// Folder where a pod mounts the baseline that texts are compared with, read-only.
pub const QUALITY_MOUNT: &str = "/etc/belfry/quality";

/// Name of the file there.
pub const QUALITY_FILE_NAME: &str = "baseline.json";

/// File where the worker writes its [`load_failure::LoadFailure`] before it exits; the kubelet copies the file into the
/// pod's status, and the operator reads it there.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Exit status of a worker that could not load its model.
pub const EXIT_LOAD_FAILED: i32 = 3;

/// Seconds for which a worker still answers after SIGTERM, so that endpoints can drop it first.
pub const DRAIN_DELAY_SECONDS: u32 = 5;

/// Seconds a worker has after SIGTERM for the requests that it accepted.
pub const DRAIN_TIMEOUT_SECONDS: u32 = 30;

/// OTLP by gRPC, as OpenTelemetry's variables call it.
pub const OTLP_GRPC: &str = "grpc";

/// OTLP by HTTP, as protobuf.
pub const OTLP_HTTP: &str = "http/protobuf";

/// Label on every child, and on the worker's pods, with the name of the `InferenceModel`.
pub const MODEL_LABEL: &str = "belfry.dev/model";

/// Upper bounds, in seconds, of every request duration histogram: 1 ms to 30 s.
pub const DURATION_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The same bounds as they are written in `spec.observability.slos.latency.threshold`. Requests can't be counted
/// against a threshold between two buckets, so the API refuses one.
pub const LATENCY_THRESHOLDS: &[&str] =
    &["1ms", "5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2500ms", "5s", "10s", "30s"];

/// The bucket bound of a latency threshold, in seconds; `None` if it is not a bucket bound.
#[must_use]
pub fn threshold_seconds(threshold: &str) -> Option<f64> {
    let index = LATENCY_THRESHOLDS.iter().position(|t| *t == threshold)?;
    DURATION_BUCKETS.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_threshold_is_the_bucket_bound_that_it_spells() {
        assert_eq!(LATENCY_THRESHOLDS.len(), DURATION_BUCKETS.len());
        for (text, bound) in LATENCY_THRESHOLDS.iter().zip(DURATION_BUCKETS) {
            let seconds = match text.strip_suffix("ms") {
                Some(ms) => ms.parse::<f64>().unwrap() / 1000.0,
                None => text.strip_suffix('s').unwrap().parse::<f64>().unwrap(),
            };
            assert_eq!(seconds, *bound, "{text}");
            assert_eq!(threshold_seconds(text), Some(*bound));
        }
        assert_eq!(threshold_seconds("240ms"), None);
    }
}
