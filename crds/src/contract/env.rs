//! Environment variables that the operator sets on a worker's container.
//!
//! Each is also a command-line flag of `belfry-worker`. The worker's defaults are the ones that the API documents on
//! the field.

/// Folder with config.json, tokenizer.json and model.safetensors.
pub const MODEL: &str = "BELFRY_MODEL";
/// Repository on the hub, `owner/name`. Set instead of [`MODEL`].
pub const HF_REPO: &str = "BELFRY_HF_REPO";
/// Commit, tag or branch of that repository.
pub const HF_REVISION: &str = "BELFRY_HF_REVISION";
/// Base address of the hub; the variable that Hugging Face's own clients read.
pub const HF_ENDPOINT: &str = "HF_ENDPOINT";
/// Access token for the hub; the variable that Hugging Face's own clients read.
pub const HF_TOKEN: &str = "HF_TOKEN";
/// Folder in a bucket, `s3://bucket/folder`. Set instead of [`MODEL`].
pub const S3_URI: &str = "BELFRY_S3_URI";
/// Base address of the service that speaks S3; the bucket is then in the path. Unset: Amazon S3.
pub const S3_ENDPOINT: &str = "BELFRY_S3_ENDPOINT";
/// Region of the bucket, and of the signature.
pub const S3_REGION: &str = "BELFRY_S3_REGION";
/// Id of the access key for S3; the variable that Amazon's own clients read. Unset: requests are not signed.
pub const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// The secret access key that belongs to it.
pub const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// Token of temporary credentials.
pub const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
/// SHA-256 of the manifest that the loaded model must have, 64 hexadecimal digits.
pub const MODEL_SHA256: &str = "BELFRY_MODEL_SHA256";
/// Folder for downloads; several workers may share it.
pub const CACHE: &str = "BELFRY_CACHE";
/// Seconds that the whole download may take.
pub const DOWNLOAD_TIMEOUT_SECONDS: &str = "BELFRY_DOWNLOAD_TIMEOUT_SECONDS";
/// Seconds without a byte after which a download drops a connection.
pub const STALL_TIMEOUT_SECONDS: &str = "BELFRY_STALL_TIMEOUT_SECONDS";
/// Name that requests and responses use for the model.
pub const SERVED_NAME: &str = "BELFRY_SERVED_NAME";
/// `cpu` or `cuda`.
pub const DEVICE: &str = "BELFRY_DEVICE";
/// `auto`, `float32`, `bfloat16` or `float16`.
pub const DTYPE: &str = "BELFRY_DTYPE";
/// Compute threads; 0 takes the CPU limit of the container.
pub const THREADS: &str = "BELFRY_THREADS";
/// Library of the NVIDIA driver that GPUs are measured with; empty measures none.
pub const NVML_LIBRARY: &str = "BELFRY_NVML_LIBRARY";
/// Most tokens in one forward pass.
pub const MAX_BATCH_TOKENS: &str = "BELFRY_MAX_BATCH_TOKENS";
/// Most texts in one forward pass.
pub const MAX_BATCH_SIZE: &str = "BELFRY_MAX_BATCH_SIZE";
/// Most texts in one request.
pub const MAX_CLIENT_BATCH_SIZE: &str = "BELFRY_MAX_CLIENT_BATCH_SIZE";
/// Most texts waiting; one more is answered with 429.
pub const QUEUE_CAPACITY: &str = "BELFRY_QUEUE_CAPACITY";
/// Milliseconds after which a request is answered with 504.
pub const REQUEST_TIMEOUT_MS: &str = "BELFRY_REQUEST_TIMEOUT_MS";
/// File with the certificates of the authorities that hub and bucket are trusted by.
pub const CA_FILE: &str = "BELFRY_CA_FILE";
/// `auto`, `embedding`, `sparse-embedding`, `rerank` or `classification`.
pub const TASK: &str = "BELFRY_TASK";
/// `true` takes token ids in `/v1/embeddings`, for callers that use the model's own vocabulary.
pub const ACCEPT_TOKEN_IDS: &str = "BELFRY_ACCEPT_TOKEN_IDS";
/// `true` cuts a text that is too long, where a request does not say.
pub const AUTO_TRUNCATE: &str = "BELFRY_AUTO_TRUNCATE";
/// Most connections of callers.
pub const MAX_CONNECTIONS: &str = "BELFRY_MAX_CONNECTIONS";
/// Seconds that a connection may wait for its next request.
pub const KEEP_ALIVE_SECONDS: &str = "BELFRY_KEEP_ALIVE_SECONDS";
/// File with API keys, one a line, as a Secret is mounted.
pub const API_KEY_FILE: &str = "BELFRY_API_KEY_FILE";
/// API keys, separated by commas or lines. A model's `podTemplate.env` sets it from a Secret; names that begin with
/// `BELFRY_` are refused there.
pub const API_KEYS: &str = "API_KEYS";
/// Origins whose pages may ask, separated by commas.
pub const CORS_ALLOW_ORIGIN: &str = "BELFRY_CORS_ALLOW_ORIGIN";
/// File with the baseline that texts are compared with.
pub const QUALITY_BASELINE: &str = "BELFRY_QUALITY_BASELINE";
/// Address of a port for the metrics alone.
pub const METRICS_LISTEN: &str = "BELFRY_METRICS_LISTEN";
/// File for the reason of a failed load.
pub const TERMINATION_LOG: &str = "BELFRY_TERMINATION_LOG";
/// Seconds between SIGTERM and the first refused request.
pub const DRAIN_DELAY_SECONDS: &str = "BELFRY_DRAIN_DELAY_SECONDS";
/// Seconds between SIGTERM and the exit, even if requests are still running.
pub const DRAIN_TIMEOUT_SECONDS: &str = "BELFRY_DRAIN_TIMEOUT_SECONDS";
/// `true` writes logs as one JSON object per line.
pub const LOG_JSON: &str = "BELFRY_LOG_JSON";
/// Share of the answered requests that are logged, from 0 to 1.
pub const LOG_REQUESTS: &str = "BELFRY_LOG_REQUESTS";
/// Send spans to a collector
pub const ENABLE_TRACE: &str = "BELFRY_ENABLE_TRACE";
/// The collector that spans are sent to
pub const OTLP_TRACES_ENDPOINT: &str = "BELFRY_OTLP_TRACES_ENDPOINT";
