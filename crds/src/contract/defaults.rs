//! What holds when a specification is silent.
//!
//! The API has no schema defaults, because they drift under GitOps; the operator writes these into
//! the children, where they can be read, and the worker's flags start from the same constants.

/// Worker replicas.
pub const REPLICAS: i32 = 1;
/// Fewest workers of a model that is scaled.
pub const MIN_REPLICAS: i32 = 1;
/// Texts that wait for each worker of a model that is scaled by nothing else.
pub const SCALING_QUEUE_DEPTH: i32 = 16;
/// CPU that a worker asks for.
pub const CPU_REQUEST: &str = "500m";
/// Memory that a worker asks for, and its limit.
pub const MEMORY: &str = "1Gi";
/// Most tokens in one forward pass.
pub const MAX_BATCH_TOKENS: u32 = 4096;
/// Most texts in one forward pass.
pub const MAX_BATCH_SIZE: u32 = 256;
/// Most texts in one request.
pub const MAX_CLIENT_BATCH_SIZE: u32 = 256;
/// Most texts waiting.
pub const QUEUE_CAPACITY: u32 = 1024;
/// Milliseconds after which a request is given up.
pub const REQUEST_TIMEOUT_MS: u32 = 30_000;
/// Where runbooks are read when the specification names no other place.
pub const RUNBOOK_BASE_URL: &str = "https://belfry.dev/runbooks";
/// Region of a bucket.
pub const S3_REGION: &str = "us-east-1";
/// Seconds that a download may take when a pod has [`STARTUP_BUDGET_SECONDS`].
pub const DOWNLOAD_TIMEOUT_SECONDS: u32 = 840;
/// Seconds without a byte after which a connection is given up.
pub const STALL_TIMEOUT_SECONDS: u32 = 30;
/// Seconds that a pod may take to load and warm its model.
pub const STARTUP_BUDGET_SECONDS: i32 = 900;
/// Replicas that a drain may take at once.
pub const DISRUPTION_MAX_UNAVAILABLE: i32 = 1;
/// Port of a model's Service.
pub const SERVICE_PORT: i32 = 80;
