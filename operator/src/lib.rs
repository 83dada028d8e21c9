//! The operator: it keeps the children of every `InferenceModel` as they should be.
//!
//! ```text
//! InferenceModel → observe → drift → apply → status
//!                  (cache)   (pure)  (I/O)   (pure)
//! ```
//!
//! Here is I/O and what decides about it; what a model needs is rendered by `belfry_render`, which only `drift` asks. The
//! modules stand in the order in which they may use each other, and `render/tests/tidy.rs` holds that order. Only `apply`,
//! `controller`, `lease` and `scaling` write to the cluster.

pub mod metrics;
mod trace;
pub mod lease;
pub mod observe;
pub mod client;
pub mod drift;
pub mod fleet;
pub mod scrape;
pub mod scaling;
pub mod loaded;
pub mod prometheus;
pub mod evaluation;
pub mod apply;
pub mod status;
pub mod events;
pub mod upgrade;
pub mod controller;
pub mod args;
pub mod server;
pub mod run;
