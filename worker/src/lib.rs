//! The worker of Belfry: one model, served over HTTP.
//!
//! A request goes through the files in this order:
//! `http → admit → tokenize → queue → batch → forward → respond`.
//!
//! - `queue` and `batch` are pure data, with time passed in.
//! - One lane thread owns every tensor; everything else talks to it through the queue.
//! - Names that the operator, the rules or the dashboards read come from [`belfry_crds::contract`].
//! - Only `native` has unsafe code; only `torch`, `models` and `load::weights` name libtorch.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "libtorch counts in i64 and Rust in usize; sizes are bounded by the settings or checked when a model is loaded"
)]
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a library for its own binary and tests, where every error is an enum that says it"
)]

pub mod app;
pub mod args;
pub mod http;

pub mod admit;
pub mod tokenize;

pub mod queue;

pub mod batch;
pub mod forward;

pub mod respond;

pub mod cpu;
pub mod error;
pub mod lifecycle;
pub mod load;
pub mod metrics;
pub mod models;
mod native;
mod run;
mod server;
pub mod torch;

pub use args::Args;
pub use run::run;
