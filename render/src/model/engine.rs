//! `spec.engine`, with the defaults of its type applied.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::EngineType;

use crate::engine::{Mapping, coverage};

/// An engine in place of Belfry's own worker, with defaults applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidEngine {
    /// Type of the engine.
    pub type_: EngineType,
    /// Command of the container; empty for the command of the type.
    pub command: Vec<String>,
    /// Arguments that follow those of the type.
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
    /// The engine's metrics that mean the same as Belfry's.
    pub mappings: Vec<Mapping>,
}

impl ValidEngine {
    /// Whether the engine has every series that an expression reads.
    #[must_use]
    pub fn offers(&self, expression: &str) -> bool {
        coverage::offers(&self.mappings, expression)
    }

    /// The bounds of the engine's histogram of whole requests that are thresholds of the API, as the API spells them.
    pub fn latency_thresholds(&self) -> impl Iterator<Item = &String> {
        let of_total = self.mappings.iter().filter(|mapping| {
            mapping.ours.name == metrics::REQUEST_DURATION.name
                && mapping.labels.get("phase").is_some_and(|phase| phase == "total")
        });
        of_total.flat_map(|mapping| &mapping.thresholds)
    }
}
