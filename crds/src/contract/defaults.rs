//! Default values of a specification.
//!
//! The API has no schema defaults, because they drift under GitOps. The operator writes these values into the children,
//! where users can read them. The worker's flags default to the same constants.

/// Worker replicas.
pub const REPLICAS: i32 = 1;
/// Fewest workers of a model that is scaled.
pub const MIN_REPLICAS: i32 = 1;
/// Waiting texts per worker that a scaler aims for, if the specification names no metric.
pub const SCALING_QUEUE_DEPTH: i32 = 16;
/// CPU request of a worker.
pub const CPU_REQUEST: &str = "500m";
/// Memory request and memory limit of a worker.
pub const MEMORY: &str = "1Gi";
/// Most tokens in one forward pass.
pub const MAX_BATCH_TOKENS: u32 = 4096;
/// Most texts in one forward pass.
pub const MAX_BATCH_SIZE: u32 = 256;
/// Most texts in one request.
pub const MAX_CLIENT_BATCH_SIZE: u32 = 256;
/// Most texts waiting.
pub const QUEUE_CAPACITY: u32 = 1024;
/// Milliseconds after which a request times out.
pub const REQUEST_TIMEOUT_MS: u32 = 30_000;
/// Base address of the runbooks: the operator's own, as `kubectl port-forward svc/belfry-operator 8080` shows them.
pub const RUNBOOK_BASE_URL: &str = "http://localhost:8080/runbooks";
/// Region of a bucket.
pub const S3_REGION: &str = "us-east-1";
/// Seconds that a download may take when a pod has [`STARTUP_BUDGET_SECONDS`].
pub const DOWNLOAD_TIMEOUT_SECONDS: u32 = 840;
/// Seconds without a byte after which a download drops a connection.
pub const STALL_TIMEOUT_SECONDS: u32 = 30;
/// Seconds that a pod may take to load and warm its model.
pub const STARTUP_BUDGET_SECONDS: i32 = 900;
/// Replicas that a node drain may evict at once.
pub const DISRUPTION_MAX_UNAVAILABLE: i32 = 1;
/// Port of a model's Service.
pub const SERVICE_PORT: i32 = 80;
