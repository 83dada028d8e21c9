//! What a worker says about itself and its model.

use super::{
    Counter, DOWNLOAD_RETRY_REASONS, DURATION_BUCKETS, ENDPOINTS, Exporter, Gauge, Histogram, Kind, MODEL_STATES,
    Metric, PHASES, REASONS, STATUSES, closed, one_per,
};

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
}
