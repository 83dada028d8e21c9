//! The harness of the fault tests: the operator's real program, a control plane of its own, and a proxy in between.
//!
//! A test runs as an [`Act`] on a [`Stage`] of the test program. What it compares with is what the same
//! operator made of the same specification when nothing failed: see [`snapshot`].

mod act;
pub mod dice;
mod process;
pub mod schema;
pub mod snapshot;
pub mod specs;
mod stage;

pub use act::{Act, PATIENCE, SILENCE, list, on_stage};
pub use process::{Operator, present};
pub use snapshot::Snapshot;
pub use stage::{MONITORING_KINDS, Stage, VALUES, definition, definition_name, roles};
