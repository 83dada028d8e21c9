//! Engines other than Belfry's own worker: their ports and paths, and which of their metrics mean the same as Belfry's.
//!
//! Pure. A rule, an alert or a panel is left out if it needs a series that the engine does not have ([`Mapping`],
//! [`coverage`]): an alert that can never fire would mislead.

pub mod coverage;
mod llama_cpp;
pub mod mapping;
mod sglang;
mod tei;
mod triton;
mod vllm;
pub mod scaling_series;

use belfry_crds::inference_model::EngineType;

pub use mapping::{EngineSeries, Mapping};
pub use scaling_series::ScalingSeries;

/// The defaults of an engine type.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineProfile {
    /// Name of the engine in messages.
    pub name: &'static str,
    /// Port of requests and probes.
    pub http_port: i32,
    /// Port of the metrics.
    pub metrics_port: i32,
    /// Answers 200 once the model is loaded.
    pub readiness_path: &'static str,
    /// Answers 200 while the process makes progress.
    pub liveness_path: &'static str,
    /// Whether the engine downloads a repository of the hub by itself.
    pub downloads: bool,
    /// The engine's metrics that mean the same as Belfry's.
    pub mappings: Vec<Mapping>,
}

/// The defaults of an engine type.
#[must_use]
pub fn profile(type_: EngineType) -> EngineProfile {
    let common = EngineProfile {
        name: "the engine",
        http_port: 8080,
        metrics_port: 8080,
        readiness_path: "/health",
        liveness_path: "/health",
        downloads: true,
        mappings: vec![],
    };
    match type_ {
        EngineType::Custom => common,
        EngineType::VLLM => {
            EngineProfile { name: "vLLM", http_port: 8000, metrics_port: 8000, mappings: vllm::mappings(), ..common }
        }
        EngineType::TEI => EngineProfile { name: "TEI", mappings: tei::mappings(), ..common },
        EngineType::SGLang => EngineProfile {
            name: "SGLang",
            http_port: 30000,
            metrics_port: 30000,
            mappings: sglang::mappings(),
            ..common
        },
        EngineType::LlamaCpp => EngineProfile { name: "llama.cpp", mappings: llama_cpp::mappings(), ..common },
        EngineType::Triton => EngineProfile {
            name: "Triton",
            http_port: 8000,
            metrics_port: 8002,
            readiness_path: "/v2/health/ready",
            liveness_path: "/v2/health/live",
            downloads: false,
            mappings: triton::mappings(),
        },
    }
}
