//! The live status of a worker: what `/ws/status` sends every [`STATUS_INTERVAL`], and `/status` answers.
//!
//! The fields from `timestamp` to `histograms` have the names and types that SIE's clients read. The others are for
//! `belfry top` and the page of the worker. Counters and histograms are those of the contract's metrics, and count from the
//! start of the process: a viewer computes rates from two snapshots, and no viewer sees the numbers of another.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// The WebSocket that sends a snapshot every [`STATUS_INTERVAL`].
pub const STATUS_SOCKET_PATH: &str = "/ws/status";

/// One snapshot, as plain JSON.
pub const STATUS_PATH: &str = "/status";

/// Time between two snapshots.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// Most viewers of `/ws/status` at once; one more is answered with 503.
pub const MOST_VIEWERS: usize = 128;

/// Share of a memory from which a viewer marks it, in percent. The worker itself does nothing at this share: it has one model,
/// and unloads it only when it ends.
pub const MEMORY_THRESHOLD_PCT: f64 = 85.0;

/// A worker at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Unix time in seconds. It may jump with the clock: rates go by [`Snapshot::elapsed_seconds`].
    pub timestamp: f64,
    /// Type of the GPU that the model is on, such as `l4`; none on a CPU, and where the driver does not name it.
    pub gpu: Option<String>,
    /// Names of the models that answer: one, or none.
    pub loaded_models: Vec<String>,
    /// The process.
    pub server: Server,
    /// The GPUs that a worker on CUDA sees; its model is on `cuda:0`. None on a CPU, and none while the driver does not answer.
    pub gpus: Vec<Gpu>,
    /// The models: a worker has one.
    pub models: Vec<Model>,
    /// Counters by the name of their metric. A series that has counted nothing is left out.
    pub counters: BTreeMap<String, Vec<Sample>>,
    /// Histograms by the name of their metric.
    pub histograms: BTreeMap<String, Vec<Distribution>>,
    /// Gauges by the name of their metric.
    pub gauges: BTreeMap<String, Vec<Sample>>,
    /// Whether requests are taken: false before the model is loaded, and once the worker shuts down.
    pub ready: bool,
    /// Name of the host, which in a cluster is that of the pod.
    pub name: String,
    /// Seconds since the worker started. No change of the clock moves them; they begin again in a new process.
    pub elapsed_seconds: f64,
    /// What the process uses.
    pub process: Process,
    /// Viewers of `/ws/status` at this moment.
    pub viewers: usize,
}

/// The process that serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Version of the worker.
    pub version: String,
    /// Whole seconds since the worker started.
    pub uptime_seconds: u64,
    /// Name of its user; the number where the user has no name.
    pub user: String,
    /// Its working folder; empty if it is gone.
    pub working_dir: String,
    /// Its process id, as the worker sees it.
    pub pid: u32,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Name of the device, such as `cuda:0`.
    pub device: String,
    /// Name of the product, such as `NVIDIA L4`.
    pub name: String,
    /// The product in short, such as `l4`.
    pub gpu_type: String,
    /// Share of the time in which the GPU computed, in percent, over a period of the driver's; none where it does not say.
    pub utilization_pct: Option<u32>,
    /// Memory in use, by all processes and by the driver itself.
    pub memory_used_bytes: u64,
    /// All its memory.
    pub memory_total_bytes: u64,
    /// See [`MEMORY_THRESHOLD_PCT`].
    pub memory_threshold_pct: f64,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name in requests.
    pub name: String,
    /// One of [`super::metrics::MODEL_STATES`].
    pub state: String,
    /// `cpu` or `cuda:0`; none before the model is loaded.
    pub device: Option<String>,
    /// Memory of its weights; 0 before the model is loaded.
    pub memory_bytes: u64,
    /// Texts that wait.
    pub queue_depth: u64,
    /// The same number, under the name by which some clients read it.
    pub queue_pending_items: u64,
    /// What it is.
    pub config: ModelConfig,
}

/// What a model is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Repository of a hub that it was loaded from; none for another source.
    pub hf_id: Option<String>,
    /// The architecture that its config.json names; none before the model is loaded.
    pub adapter: Option<String>,
    /// What it takes: `text`.
    pub inputs: Vec<String>,
    /// What it gives: `dense`, `sparse`, `multivector`, `score`, `classes` or `token-classes`; empty before the model is loaded.
    pub outputs: Vec<String>,
}

/// A series at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Values of its labels, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// In the unit of its metric.
    pub value: f64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Values of its labels, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Upper bounds of the buckets in the unit of the metric, without the last, which has none.
    pub bounds: Vec<f64>,
    /// Samples at or below each bound.
    pub cumulative: Vec<u64>,
    /// All samples.
    pub count: u64,
    /// Their sum, in the unit of the metric.
    pub sum: f64,
}

/// What the process uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// CPU time of all its threads since it started.
    pub cpu_seconds: f64,
    /// Cores that it may use at once: the CPU limit of its container in whole cores and at least one, or the cores of the machine.
    pub cpus: f64,
    /// Memory that it has; 0 where the system does not say.
    pub resident_bytes: u64,
    /// Memory limit of its container; none where there is no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Memory of the machine; none where the system does not say.
    pub memory_total_bytes: Option<u64>,
    /// See [`MEMORY_THRESHOLD_PCT`].
    pub memory_threshold_pct: f64,
    /// Its threads; 0 where the system does not say.
    pub threads: u64,
}

impl Snapshot {
    /// The sum of a counter's or a gauge's series whose labels fit; 0 where there is none.
    #[must_use]
    pub fn sum(&self, metric: &Metric, fits: impl Fn(&BTreeMap<String, String>) -> bool) -> f64 {
        let of = |map: &BTreeMap<String, Vec<Sample>>| -> f64 {
            let series = map.get(metric.name).into_iter().flatten();
            series.filter(|sample| fits(&sample.labels)).map(|sample| sample.value).sum()
        };
        of(&self.counters) + of(&self.gauges)
    }

    /// The histogram of a metric whose label has this value; the first without a label.
    #[must_use]
    pub fn distribution(&self, metric: &Metric, label: Option<(&str, &str)>) -> Option<&Distribution> {
        let fits = |one: &&Distribution| {
            label.is_none_or(|(name, value)| one.labels.get(name).is_some_and(|given| given == value))
        };
        self.histograms.get(metric.name)?.iter().find(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics;
    use super::*;

    /// The message of the guide that SIE's clients were written by, with what is ours beside it.
    fn message() -> serde_json::Value {
        serde_json::json!({
            "timestamp": 1_703_001_234.567,
            "gpu": "l4",
            "loaded_models": ["bge-m3"],
            "server": {"version": "0.1.0", "uptime_seconds": 3600, "user": "sie", "working_dir": "/app", "pid": 1},
            "gpus": [{
                "device": "cuda:0", "name": "NVIDIA L4", "gpu_type": "l4", "utilization_pct": 45,
                "memory_used_bytes": 8_589_934_592_u64, "memory_total_bytes": 23_622_320_128_u64, "memory_threshold_pct": 85.0
            }],
            "models": [{
                "name": "bge-m3", "state": "loaded", "device": "cuda:0", "memory_bytes": 2_147_483_648_u64, "queue_depth": 0,
                "queue_pending_items": 0,
                "config": {"hf_id": "BAAI/bge-m3", "adapter": "bge_m3", "inputs": ["text"], "outputs": ["dense", "sparse"]}
            }],
            "counters": {"inference_requests_total": [
                {"labels": {"reason": "ok"}, "value": 3.0}, {"labels": {"reason": "queue_full"}, "value": 2.0}
            ]},
            "histograms": {"inference_batch_size": [{"bounds": [1.0, 2.0], "cumulative": [1, 1], "count": 2, "sum": 9.0}]},
            "gauges": {"inference_queue_capacity": [{"value": 512.0}]},
            "ready": true, "name": "minilm-0", "elapsed_seconds": 3600.25,
            "process": {
                "cpu_seconds": 1.5, "cpus": 2.0, "resident_bytes": 9, "memory_limit_bytes": null, "memory_total_bytes": 10,
                "memory_threshold_pct": 85.0, "threads": 7
            },
            "viewers": 1
        })
    }

    #[test]
    fn the_message_of_the_guide_is_read_and_written_field_by_field() {
        let snapshot: Snapshot = serde_json::from_value(message()).unwrap();
        assert_eq!(serde_json::to_value(&snapshot).unwrap(), message());
    }

    #[test]
    fn a_metric_is_found_by_its_name_and_its_labels() {
        let snapshot: Snapshot = serde_json::from_value(message()).unwrap();
        assert!((snapshot.sum(&metrics::REQUESTS, |_| true) - 5.0).abs() < f64::EPSILON);
        let refused = snapshot.sum(&metrics::REQUESTS, |labels| labels["reason"] != "ok");
        assert!((refused - 2.0).abs() < f64::EPSILON);
        assert!((snapshot.sum(&metrics::QUEUE_CAPACITY, |_| true) - 512.0).abs() < f64::EPSILON);
        assert!(snapshot.sum(&metrics::TOKENS, |_| true).abs() < f64::EPSILON);
        assert_eq!(snapshot.distribution(&metrics::BATCH_SIZE, None).unwrap().count, 2);
        assert!(snapshot.distribution(&metrics::BATCH_SIZE, Some(("phase", "total"))).is_none());
    }
}
