//! The worker of Belfry: one model, served over HTTP.
//!
//! A request goes through the files in this order:
//! `http → admit → tokenize → rows → inbox → queue → lane → batch → engine → respond`.
//!
//! - `queue` and `batch` are pure data, with time passed in.
//! - One lane thread owns every tensor; everything else talks to it through the queue.
//! - Names that the operator, the rules or the dashboards read come from [`belfry_crds::contract`].
//! - Only `native` has unsafe code; only `device` and `model` name libtorch, and only `gpu` NVML.
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
    reason = "a library for its own binary and tests, where every error is an enum that explains itself"
)]

pub mod args;
pub mod state;

pub mod endpoint;
pub mod http;

pub mod admit;
pub mod chat;
pub mod tokenize;

pub mod inbox;
pub mod queue;
pub mod rows;

pub mod batch;
pub mod engine;
pub mod lane;

pub mod respond;

pub mod container;
pub mod cpu;
pub mod device;
pub mod error;
pub mod failure;
pub mod folder;
pub mod gpu;
pub mod lifecycle;
pub mod load;
pub mod metrics;
pub mod model;
mod native;
pub mod plain;
pub mod probe;
pub mod quality;
mod run;
pub mod server;
mod signals;
pub mod status;
mod trace;

pub use args::Args;
pub use run::run;
