//! `spec.engine`, with what its type brings.

use belfry_crds::inference_model::EngineType;

use crate::engine::{Mapping, coverage};

/// An engine in place of Belfry's own worker, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidEngine {
    /// Which engine it is.
    pub type_: EngineType,
    /// Command of the container; empty for the type's.
    pub command: Vec<String>,
    /// Arguments after the type's.
    pub args: Vec<String>,
    /// Port of requests and probes.
    pub http_port: i32,
    /// Port of the metrics.
    pub metrics_port: i32,
    /// Answers 200 once the model is loaded.
    pub readiness_path: String,
    /// Answers 200 while the process makes progress.
    pub liveness_path: String,
    /// Path of the metrics.
    pub metrics_path: String,
    /// Its metrics that mean the same as ours.
    pub mappings: Vec<Mapping>,
}

impl ValidEngine {
    /// Whether it has every series that an expression reads.
    #[must_use]
    pub fn offers(&self, expression: &str) -> bool {
        coverage::offers(&self.mappings, expression)
    }
}
