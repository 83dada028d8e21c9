//! Every metric of Belfry. `docs/metrics.md` is generated from here.

use super::DURATION_BUCKETS;
use super::metric::{Counter, Exporter, Gauge, Histogram, Kind, Label, Metric, Values};

const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Closed(values) }
}

const fn one_per(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::OnePer(what) }
}

/// Routes that count as inference; probes, metrics and unknown paths do not. A route with the name of a model in its path
/// is written without that name.
pub const ENDPOINTS: &[&str] = &[
    "/v1/embeddings",
    "/embed",
    "/embed_all",
    "/embed_sparse",
    "/rerank",
    "/v1/rerank",
    "/predict",
    "/similarity",
    "/v1/encode",
    "/v1/score",
];

/// HTTP statuses of a worker's answers to inference requests. 499 is never sent: it counts requests whose caller
/// disconnected.
pub const STATUSES: &[&str] =
    &["200", "400", "401", "404", "405", "408", "413", "415", "422", "429", "499", "500", "503", "504"];

/// The outcome of a request: `ok`, or the `code` of the error body.
pub const REASONS: &[&str] = &[
    "ok",
    "invalid_json",
    "invalid_input",
    "unsupported_media_type",
    "method_not_allowed",
    "unauthorized",
    "model_not_found",
    "request_too_large",
    "body_timeout",
    "too_many_inputs",
    "input_too_long",
    "queue_full",
    "model_loading",
    "draining",
    "deadline_exceeded",
    "client_closed_request",
    "inference_failed",
];

/// Parts of a request's time: `total` from the last byte of the body to the first of the answer.
pub const PHASES: &[&str] = &["total", "tokenize", "queue", "inference"];

/// States of a worker's model; exactly one is 1.
pub const MODEL_STATES: &[&str] = &["loading", "loaded", "unloading", "failed"];

/// What holds a GPU's clocks back, in the order of NVML's bits. An idle GPU lowers its clocks by itself; that is none of these.
pub const GPU_THROTTLE_REASONS: &[&str] = &[
    "clocks_setting",
    "software_power_cap",
    "hardware_slowdown",
    "sync_boost",
    "software_thermal",
    "hardware_thermal",
    "hardware_power_brake",
];

/// Reasons for a retry of a download's request.
pub const DOWNLOAD_RETRY_REASONS: &[&str] = &["stalled", "connection", "status", "corrupt"];

const NAMESPACE: Label = one_per("namespace", "namespace");
const MODEL: Label = one_per("model", "InferenceModel");

/// Zone of a node; empty if the node has no zone label, or if the operator reads no nodes.
const ZONE: Label = one_per("zone", "zone of the cluster");
const CAPACITY_TYPE: Label = closed("capacity_type", CAPACITY_TYPES);
/// Product name of a node's GPUs; empty if the node has none, or if the operator reads no nodes.
const GPU: Label = one_per("gpu", "GPU product of the cluster");
/// UUID of a GPU, as `nvidia-smi -L` prints it. An index would name another GPU in each pod, and after each move of a pod.
const GPU_UUID: Label = one_per("gpu", "GPU that the worker sees, by its UUID");

macro_rules! metrics {
    ($($exporter:ident $kind:ident $id:ident = $name:literal [$unit:literal] ($($label:expr),*) $(buckets $buckets:expr)?; $help:literal)*) => {
        $(#[doc = $help]
        pub const $id: $kind = $kind(Metric {
            name: $name,
            kind: metrics!(@kind $kind $($buckets)?),
            unit: $unit,
            help: $help,
            labels: &[$($label),*],
            exporter: Exporter::$exporter,
        });)*
        /// Every metric of the contract, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($id.0),*];
    };
    (@kind Counter) => { Kind::Counter };
    (@kind Gauge) => { Kind::Gauge };
    (@kind Histogram $buckets:expr) => { Kind::Histogram($buckets) };
}

metrics! {
    Worker Counter REQUESTS = "inference_requests_total" ["requests"]
        (closed("endpoint", ENDPOINTS), closed("status", STATUSES), closed("reason", REASONS));
        "Inference requests answered, by route, HTTP status and reason."
    Worker Histogram REQUEST_DURATION = "inference_request_duration_seconds" ["seconds"]
        (closed("phase", PHASES)) buckets DURATION_BUCKETS;
        "Time of inference requests that were answered with 200, by phase. What was refused or failed is no sample: it would look fast."
    Worker Histogram ABANDONED_DURATION = "inference_abandoned_request_duration_seconds" ["seconds"] ()
        buckets DURATION_BUCKETS;
        "Time that callers waited after the last byte of their request who left before the answer (status 499)."
    Worker Counter TOKENS = "inference_tokens_total" ["tokens"] (closed("type", &["input"]));
        "Tokens that went through the model, special tokens included."
    Worker Counter REQUEST_BYTES = "inference_request_bytes_total" ["bytes"] ();
        "Bytes of the bodies of inference requests that were read whole."
    Worker Counter RESPONSE_BYTES = "inference_response_bytes_total" ["bytes"] ();
        "Bytes of the bodies of the answers to inference requests, errors among them."
    Worker Histogram BATCH_SIZE = "inference_batch_size" ["texts"] ()
        buckets &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
        "Texts in one forward pass."
    Worker Histogram BATCH_TOKENS = "inference_batch_tokens" ["tokens"] ()
        buckets &[16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0];
        "Tokens in one forward pass."
    Worker Gauge BATCH_TOKENS_LIMIT = "inference_batch_tokens_limit" ["tokens"] ();
        "Most tokens in one forward pass; the mean of inference_batch_tokens beside it is how full the passes are. No token is padding."
    Worker Counter DEVICE_BUSY = "inference_device_busy_seconds_total" ["seconds"] ();
        "Time in which the device worked on forward passes; its rate is the share of the device that is in use."
    Worker Gauge QUEUE_DEPTH = "inference_queue_depth" ["texts"] ();
        "Texts that wait for a forward pass."
    Worker Gauge QUEUE_CAPACITY = "inference_queue_capacity" ["texts"] ();
        "Most texts that may wait; one more is answered with 429."
    Worker Gauge QUEUE_OLDEST_WAIT = "inference_queue_oldest_wait_seconds" ["seconds"] ();
        "Time that the text has waited for a forward pass which has waited longest; 0 when none waits."
    Worker Gauge ACTIVE_REQUESTS = "inference_active_requests" ["requests"] ();
        "Inference requests that were accepted and are not answered yet."
    Worker Gauge OPEN_CONNECTIONS = "inference_open_connections" ["connections"] ();
        "Open connections, those of probes and scrapes among them."
    Worker Gauge CONNECTIONS_LIMIT = "inference_connections_limit" ["connections"] ();
        "Most connections of callers; on one more only probes and scrapes are answered."
    Worker Counter CONNECTIONS_REFUSED = "inference_connections_refused_total" ["requests"] ();
        "Requests that were answered with 503 because there were too many connections; they are in no other metric."
    Worker Gauge MODEL_LOADED = "inference_model_loaded" ["bool"] ();
        "1 when the model answers requests, else 0."
    Worker Gauge PROBE_SUCCESS = "inference_probe_success" ["bool"] ();
        "1 when the model answered the worker's own last question, else 0. An idle worker asks every 15 s; it counts as no request."
    Worker Gauge MODEL_STATE = "inference_model_state" ["bool"] (closed("state", MODEL_STATES));
        "1 for the state that the model is in, 0 for the others."
    Worker Gauge MODEL_LOAD_DURATION = "inference_model_load_duration_seconds" ["seconds"] ();
        "Time from the start of the process to a loaded and warm model; 0 before that."
    Worker Gauge MODEL_LOAD_START = "inference_model_load_start_timestamp_seconds" ["timestamp"] ();
        "Unix time at which the load began."
    Worker Gauge MODEL_MEMORY = "inference_model_memory_bytes" ["bytes"] (closed("device", &["cpu", "cuda"]));
        "Memory of the model's weights, by device."
    Worker Gauge MODEL_INFO = "inference_model_info" ["bool"]
        (one_per("architecture", "process"), one_per("dtype", "process"), one_per("device", "process"),
         one_per("revision", "process"), one_per("digest", "process"));
        "Always 1; the labels describe the loaded model. The digest is the SHA-256 of the manifest, as in spec.model.sha256."
    Worker Gauge DOWNLOAD_SIZE = "inference_model_download_size_bytes" ["bytes"] ();
        "Bytes of the model's files at its source, once they are known; 0 for a model that is not downloaded."
    Worker Gauge DOWNLOAD_DONE = "inference_model_download_done_bytes" ["bytes"] ();
        "Bytes of these files that are in the cache, whichever process downloaded them."
    Worker Counter DOWNLOAD_RETRIES = "inference_model_download_retries_total" ["retries"]
        (closed("reason", DOWNLOAD_RETRY_REASONS));
        "Retried requests of the download, by reason; four tries in a row without data end the download."
    Worker Gauge LAST_PROGRESS = "inference_last_progress_timestamp_seconds" ["timestamp"] ();
        "Unix time at which the last forward pass ended, or the model became ready."
    Worker Gauge CONTAINER_MEMORY = "inference_container_memory_working_set_bytes" ["bytes"] ();
        "Memory that the container holds and the kernel can't take back at once; at the limit it is killed. Absent where the kernel does not say."
    Worker Gauge CONTAINER_MEMORY_LIMIT = "inference_container_memory_limit_bytes" ["bytes"] ();
        "Memory limit of the container; absent where there is none."
    Worker Counter CONTAINER_MEMORY_EVENTS = "inference_container_memory_events_total" ["events"]
        (closed("event", &["limit_reached", "oom_kill"]));
        "Times that the container reached its memory limit and the kernel took memory back, and processes in it that were killed for want of memory."
    Worker Gauge CONTAINER_CPU_LIMIT = "inference_container_cpu_limit_cores" ["cores"] ();
        "CPU limit of the container; absent where there is none."
    Worker Counter CONTAINER_CPU_PERIODS = "inference_container_cpu_periods_total" ["periods"] ();
        "Stretches of time, mostly of 0.1 s, in which the container was limited and wanted to run."
    Worker Counter CONTAINER_CPU_THROTTLED_PERIODS = "inference_container_cpu_throttled_periods_total" ["periods"] ();
        "Of these, those in which its CPU limit held it back; the share is what a higher limit would free."
    Worker Counter CONTAINER_CPU_THROTTLED = "inference_container_cpu_throttled_seconds_total" ["seconds"] ();
        "Time for which its CPU limit held its threads back."
    Worker Gauge GPU_INFO = "inference_gpu_info" ["bool"]
        (GPU_UUID, one_per("device", "GPU of the process"), one_per("name", "GPU product of the node"), one_per("driver", "process"));
        "Always 1; the labels name a GPU that the worker sees: its number for CUDA, its product and its driver. Series about GPUs are absent where the driver has not answered for ten seconds, and where a GPU does not support them."
    Worker Gauge GPU_LOST = "inference_gpu_lost" ["bool"] (GPU_UUID);
        "1 while the driver says that the GPU fell off the bus, else 0. Beside it such a GPU has only what was counted of its Xids."
    Worker Gauge GPU_UTILIZATION = "inference_gpu_utilization_ratio" ["ratio"] (GPU_UUID);
        "Share of the time in which the GPU computed, for whichever process, over the driver's last sample of 1/6 s to 1 s."
    Worker Gauge GPU_MEMORY_USED = "inference_gpu_memory_used_bytes" ["bytes"] (GPU_UUID);
        "Memory of the GPU that is not free: that of all processes, and what the driver keeps for itself."
    Worker Gauge GPU_MEMORY_TOTAL = "inference_gpu_memory_total_bytes" ["bytes"] (GPU_UUID);
        "All memory of the GPU."
    Worker Gauge GPU_TEMPERATURE = "inference_gpu_temperature_celsius" ["celsius"] (GPU_UUID);
        "Temperature of the GPU's die."
    Worker Gauge GPU_POWER = "inference_gpu_power_watts" ["watts"] (GPU_UUID);
        "Power that the GPU draws, its memory included."
    Worker Gauge GPU_CLOCK = "inference_gpu_clock_hertz" ["hertz"] (GPU_UUID, closed("clock", &["sm", "memory"]));
        "Clock of the GPU's processors (sm) and of its memory."
    Worker Gauge GPU_THROTTLED = "inference_gpu_throttled" ["bool"] (GPU_UUID, closed("reason", GPU_THROTTLE_REASONS));
        "1 for each reason that holds the GPU's clocks back, else 0. Several may hold at once; that it is idle is none."
    Worker Counter GPU_ECC_ERRORS = "inference_gpu_ecc_errors_total" ["errors"] (GPU_UUID, closed("type", &["corrected", "uncorrected"]));
        "Errors of the GPU's memory since the driver was loaded. What is uncorrected may have changed a result."
    Worker Counter GPU_XID_ERRORS = "inference_gpu_xid_errors_total" ["errors"] (GPU_UUID);
        "Errors that the driver reported about the GPU (Xid) since the worker began to listen, from whichever process."
    Worker Gauge GPU_LAST_XID = "inference_gpu_last_xid" ["xid"] (GPU_UUID);
        "Number of the last of these errors, 999 where the driver has no number; absent before the first. It stays when the cause is gone."
    Worker Gauge GPU_ROW_REMAP_PENDING = "inference_gpu_row_remap_pending" ["bool"] (GPU_UUID);
        "1 when rows of the GPU's memory will be replaced by spare ones at its next reset, else 0."
    Worker Gauge GPU_ROW_REMAP_FAILURE = "inference_gpu_row_remap_failure" ["bool"] (GPU_UUID);
        "1 when a row of the GPU's memory could not be replaced, for one because no spare row is left, else 0."
    Worker Gauge GPU_LAST_READING = "inference_gpu_last_reading_timestamp_seconds" ["timestamp"] ();
        "Unix time at which the last finished reading of the GPUs began; one begins every 2 s. Absent where none is read. It stays when the driver hangs."
    Worker Gauge HTTP_THREADS = "inference_http_threads" ["threads"] ();
        "Threads that speak HTTP. The model and its tokenizer have threads of their own."
    Worker Counter HTTP_BUSY = "inference_http_busy_seconds_total" ["seconds"] ();
        "Time in which these threads worked, all together; at their number a second, answers wait for them."
    Worker Gauge HTTP_TASKS = "inference_http_tasks" ["tasks"] ();
        "Connections, requests and timers that these threads look after."
    Worker Counter LOG_LINES_DROPPED = "inference_log_lines_dropped_total" ["lines"] ();
        "Log lines that were lost because nothing took them from standard output in time. No request waits for the log."
    Worker Counter TRACE_SPANS = "inference_trace_spans_total" ["spans"] (closed("outcome", &["exported", "failed", "dropped"]));
        "Spans that a collector took (exported), that it could not be given (failed), and for which there was no room meanwhile (dropped). No request waits for a collector."
    Worker Gauge WORKER_BUILD_INFO = "inference_build_info" ["bool"]
        (one_per("version", "process"), one_per("torch", "process"), one_per("isa", "process"));
        "Always 1; the labels name the worker's version, its libtorch and its instruction set."

    OperatorAboutModels Gauge MODEL_REPLICAS = "belfry_model_replicas" ["replicas"]
        (NAMESPACE, MODEL, closed("state", &["desired", "current", "updated", "ready", "available"]));
        "Worker replicas of a model, by state."
    OperatorAboutModels Gauge MODEL_CONDITION = "belfry_model_condition" ["bool"]
        (NAMESPACE, MODEL, one_per("type", "condition type"), closed("status", &["True", "False", "Unknown"]), one_per("reason", "condition reason"));
        "Always 1; one series for each condition of a model, with its present status and reason."
    OperatorAboutModels Gauge MODEL_WAITING = "belfry_model_waiting_replicas" ["replicas"]
        (NAMESPACE, MODEL, closed("reason", crate::contract::metrics::WAITING_REASONS));
        "Worker pods whose container waits, by the kubelet's reason; `other` for a reason not listed here."
    OperatorAboutModels Gauge MODEL_UNSCHEDULABLE = "belfry_model_unschedulable_replicas" ["replicas"] (NAMESPACE, MODEL);
        "Worker pods that no node can run."
    OperatorAboutModels Counter MODEL_RESTARTS = "belfry_model_container_restarts_total" ["restarts"] (NAMESPACE, MODEL);
        "Restarts of worker containers that the operator saw."
    OperatorAboutModels Counter MODEL_LOAD_FAILURES = "belfry_model_load_failures_total" ["failures"] (NAMESPACE, MODEL);
        "Worker containers that ended with a failed load."
    OperatorAboutModels Gauge MODEL_GENERATION = "belfry_model_generation" ["generation"] (NAMESPACE, MODEL);
        "Generation of a model's specification."
    OperatorAboutModels Gauge MODEL_OBSERVED_GENERATION = "belfry_model_observed_generation" ["generation"] (NAMESPACE, MODEL);
        "Generation of the specification in the operator's last finished pass; 0 before the first."
    OperatorAboutModels Gauge MODEL_UNDECODABLE = "belfry_model_undecodable" ["bool"] (NAMESPACE, MODEL);
        "Always 1; a model that the operator can't decode and does not change. It has no other series."
    OperatorAboutModels Gauge MODEL_OBJECTS = "belfry_model_objects" ["objects"]
        (NAMESPACE, MODEL, closed("state", OBJECT_STATES));
        "Objects that were generated for a model, by state: applied, refused by the API server, or of a kind that the cluster lacks."
    OperatorAboutModels Gauge MODEL_SPEC_INFO = "belfry_model_info" ["bool"]
        (NAMESPACE, MODEL, one_per("engine", "type of engine"), closed("device", &["cpu", "cuda"]), one_per("template_revision", "template revision"));
        "Always 1; the labels name the engine and the device of a model, and its revision of the pod template."
    OperatorAboutModels Gauge MODEL_PLACED = "belfry_model_placed_replicas" ["replicas"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Scheduled worker pods, by the node's zone, capacity type and GPUs; empty or `unknown` if the node has no such label."
    OperatorAboutModels Gauge MODEL_REQUESTED_CPU = "belfry_model_requested_cpu_cores" ["cores"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Sum of the CPU requests of scheduled worker pods: what they cost even if they are idle."
    OperatorAboutModels Gauge MODEL_REQUESTED_MEMORY = "belfry_model_requested_memory_bytes" ["bytes"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Sum of the memory requests of scheduled worker pods."
    OperatorAboutModels Gauge MODEL_REQUESTED_GPUS = "belfry_model_requested_gpus" ["GPUs"] (NAMESPACE, MODEL, ZONE, CAPACITY_TYPE, GPU);
        "Sum of the NVIDIA GPUs that scheduled worker pods request."

    Operator Counter RECONCILES = "belfry_operator_reconcile_total" ["reconciles"]
        (closed("outcome", RECONCILE_OUTCOMES));
        "Passes over an InferenceModel, by outcome."
    Operator Histogram RECONCILE_DURATION = "belfry_operator_reconcile_duration_seconds" ["seconds"] ()
        buckets DURATION_BUCKETS;
        "Time of one pass over an InferenceModel."
    Operator Gauge RECONCILES_RUNNING = "belfry_operator_reconcile_running" ["passes"] ();
        "Passes over InferenceModels that run now."
    Operator Gauge RECONCILE_CAPACITY = "belfry_operator_reconcile_capacity" ["passes"] ();
        "Most passes that run at the same time; further models wait in the queue."
    Operator Counter API_WRITES = "belfry_operator_api_writes_total" ["requests"]
        (closed("kind", WRITTEN_KINDS), closed("result", &["ok", "error"]));
        "Writes to the API server, by kind."
    Operator Counter API_REQUESTS = "belfry_operator_api_requests_total" ["requests"]
        (closed("verb", REQUEST_VERBS), one_per("resource", "resource of the API"), one_per("code", "HTTP status"));
        "Requests to the API server, by verb, resource and status; `error` or `timeout` if no answer arrived."
    Operator Histogram API_REQUEST_DURATION = "belfry_operator_api_request_duration_seconds" ["seconds"]
        (closed("verb", REQUEST_VERBS)) buckets DURATION_BUCKETS;
        "Time until the API server began to answer a request, by verb."
    Operator Gauge LAST_SYNC = "belfry_operator_last_sync_timestamp_seconds" ["timestamp"]
        (one_per("resource", "watched resource"));
        "Unix time at which the API server last granted a list or a watch, by resource; the operator renews each watch every 50 seconds."
    Operator Counter WATCH_RESTARTS = "belfry_operator_watch_restarts_total" ["restarts"]
        (one_per("kind", "watched kind"));
        "Watches that ended early and were started again, by kind."
    Operator Gauge RECONCILE_BACKLOG = "belfry_operator_reconcile_queue_depth" ["models"] ();
        "InferenceModels that are due for a pass and wait for one."
    Operator Gauge RECONCILE_AGE = "belfry_operator_reconcile_queue_oldest_age_seconds" ["seconds"] ();
        "Time for which the InferenceModel at the head of the queue has waited; 0 when none waits."
    Operator Gauge CACHE_OBJECTS = "belfry_operator_cache_objects" ["objects"]
        (closed("kind", &["models", "children", "pods", "nodes"]));
        "Objects that the operator keeps a summary for."
    Operator Gauge LEADER = "belfry_operator_leader" ["bool"] ();
        "1 for the active operator, 0 for one that waits to take over."
    Operator Gauge LAST_RECONCILE = "belfry_operator_last_successful_reconcile_timestamp_seconds" ["timestamp"] ();
        "Unix time of the last pass that ended without an error; 0 before the first."
    Operator Gauge OPERATOR_BUILD_INFO = "belfry_operator_build_info" ["bool"] (one_per("version", "process"));
        "Always 1; the label is the operator's version."
}

/// The kubelet's reasons for a waiting container that alerts and runbooks know.
pub const WAITING_REASONS: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ContainerCreating",
    "PodInitializing",
    "other",
];

/// Outcomes of a pass of the operator.
///
/// In a `refused` pass, the API server refused a child: a quota, admission, a missing permission or a name that is
/// taken.
pub use super::outcome::OUTCOMES as RECONCILE_OUTCOMES;

/// States of an object that is generated for a model.
pub const OBJECT_STATES: &[&str] = &["applied", "refused", "missing"];

/// How the capacity of a node is paid for, according to its labels. `reserved` is capacity that is bought in advance.
pub const CAPACITY_TYPES: &[&str] = &["on-demand", "spot", "reserved", "unknown"];

/// Verbs of the operator's requests to the API server.
pub const REQUEST_VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete", "other"];

/// Kinds that the operator writes.
pub const WRITTEN_KINDS: &[&str] = &[
    "InferenceModel",
    "ServiceAccount",
    "Service",
    "Deployment",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ConfigMap",
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "ServiceMonitor",
    "PrometheusRule",
    "AlertmanagerConfig",
    "Event",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_prometheus_conventions_and_are_unique() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} exists twice", metric.name);
            let prefix = match metric.exporter {
                Exporter::Worker => "inference_",
                Exporter::OperatorAboutModels => "belfry_model_",
                Exporter::Operator => "belfry_operator_",
            };
            assert!(metric.name.starts_with(prefix), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            for unit in ["seconds", "bytes", "ratio", "celsius", "watts", "hertz"] {
                if metric.unit == unit {
                    assert!(metric.name.trim_end_matches("_total").ends_with(unit), "{}", metric.name);
                }
            }
            assert!(metric.help.ends_with('.'), "{}: help is a sentence", metric.name);
        }
    }

    #[test]
    fn every_closed_label_has_few_distinct_values() {
        for metric in ALL {
            for label in metric.labels {
                if let Values::Closed(values) = label.values {
                    let distinct: BTreeSet<_> = values.iter().collect();
                    assert_eq!(distinct.len(), values.len(), "{}.{}", metric.name, label.name);
                    assert!(values.len() <= 32, "{}.{}", metric.name, label.name);
                }
            }
        }
    }

    #[test]
    fn buckets_grow() {
        for metric in ALL {
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.windows(2).all(|pair| pair[0] < pair[1]), "{}", metric.name);
            }
        }
    }
}
