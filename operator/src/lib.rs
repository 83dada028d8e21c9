//! The operator: it keeps the children of every `InferenceModel` as they should be.
//!
//! ```text
//! InferenceModel → observe → validate → children → apply → status
//!                  (cache)   (pure)     (pure)     (I/O)   (pure)
//! ```
//!
//! The modules stand in the order of that flow. `validate`, `children`, `monitoring`, `routing` and
//! `status` name no client, no clock and no environment; `belfry render` and the tests call them as the
//! controller does. Only `apply`, `controller`, `lease` and `scaling` write to the cluster.

#![warn(missing_docs)]

pub mod args;
pub mod run;
pub mod client;
pub mod lease;

pub mod controller;
pub mod observe;
pub mod apply;
pub mod scaling;
pub mod status;
pub mod upgrade;
pub mod prometheus;
pub mod events;
pub mod metrics;
pub mod server;
