//! Everything that crosses a process boundary: the Kubernetes API, the contract between operator
//! and worker, and the shapes of the monitoring objects.
//!
//! This crate does no I/O. The worker builds it without the `kubernetes` feature and sees only [`contract`]. The
//! operator, the command line and the tests see all of it.

#![cfg_attr(
    feature = "kubernetes",
    allow(unreachable_pub, reason = "kube's derive repeats every type inside a function")
)]

pub mod contract;

#[cfg(feature = "kubernetes")]
pub mod accuracy;
#[cfg(feature = "kubernetes")]
pub mod alertmanager;
#[cfg(feature = "kubernetes")]
pub mod condition;
#[cfg(feature = "kubernetes")]
pub mod inference_model;
#[cfg(feature = "kubernetes")]
pub mod keda;
#[cfg(feature = "kubernetes")]
pub mod monitoring;
#[cfg(feature = "kubernetes")]
pub mod status;
#[cfg(feature = "kubernetes")]
pub use inference_model::{InferenceModel, InferenceModelSpec};
#[cfg(feature = "kubernetes")]
pub use status::InferenceModelStatus;
