//! The harness of the fault tests: the operator's real program, a control plane of its own, and a proxy in between.
//!
//! Each test is a [`FaultTest`] on a [`FaultCluster`] of the test program. What it compares with is what the same
//! operator made of the same specification when nothing failed: see [`snapshot`].

mod fault_test;
pub mod dice;
mod process;
pub mod schema;
pub mod snapshot;
pub mod specs;
mod cluster;

pub use cluster::{EXTERNAL_METRICS, FaultCluster, MONITORING_KINDS, VALUES, definition, definition_name, roles};
pub use fault_test::{FaultTest, PATIENCE, SILENCE, fault_test, list};
pub use process::{Operator, present};
pub use snapshot::Snapshot;
