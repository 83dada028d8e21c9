//! The pure half of Belfry: an `InferenceModel` → its children, rules, dashboards, runbooks and routes.
//!
//! ```text
//! InferenceModel → validate → ValidModel → children → one object for each kind
//!                                             ├── monitoring → rules, dashboard, runbooks, rule tests
//!                                             └── routing    → AlertmanagerConfig
//! ```
//!
//! No client, no clock, no environment, no async runtime: the same input gives the same bytes, in the operator, in
//! `belfry render` and in the tests. The modules stand in the order in which they may use each other, and
//! `tests/tidy.rs` holds that order.

pub mod problem;
pub mod quantity;
pub mod settings;
pub mod kind;
pub mod role;
pub mod engine;
pub mod template;
pub mod deployed;
pub mod model;
pub mod monitoring;
pub mod validate;
pub mod routing;
pub mod children;
