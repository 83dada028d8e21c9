//! Environment variables that the operator sets on a worker's container.
//!
//! Each is also a command-line flag of `belfry-worker`; the defaults are the worker's, and are the
//! ones that the API documents on the field.

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
/// Folder for downloads.
pub const CACHE: &str = "BELFRY_CACHE";
/// Name that requests and responses use for the model.
pub const SERVED_NAME: &str = "BELFRY_SERVED_NAME";
/// `cpu` or `cuda`.
pub const DEVICE: &str = "BELFRY_DEVICE";
/// `auto`, `float32`, `bfloat16` or `float16`.
pub const DTYPE: &str = "BELFRY_DTYPE";
/// Compute threads; 0 takes the CPU limit of the container.
pub const THREADS: &str = "BELFRY_THREADS";
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
/// File for the reason of a failed load.
pub const TERMINATION_LOG: &str = "BELFRY_TERMINATION_LOG";
/// Seconds between SIGTERM and the first refused request.
pub const DRAIN_DELAY_SECONDS: &str = "BELFRY_DRAIN_DELAY_SECONDS";
/// Seconds between SIGTERM and the exit, whatever is still running.
pub const DRAIN_TIMEOUT_SECONDS: &str = "BELFRY_DRAIN_TIMEOUT_SECONDS";
/// `true` writes logs as one JSON object a line.
pub const LOG_JSON: &str = "BELFRY_LOG_JSON";
