//! Everything that is generated for monitoring: golden files, the claims that hold for all of them,
//! and the real promtool on rules and rule tests.
//!
//! `UPDATE_EXPECT=1 cargo test -p belfry-render --test monitoring` rewrites the golden files and the
//! documentation; read the difference before you commit it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

#[path = "monitoring/alerts.rs"]
mod alerts;
#[path = "monitoring/dashboard.rs"]
mod dashboard;
#[path = "monitoring/documentation.rs"]
mod documentation;
#[path = "monitoring/inhibition.rs"]
mod inhibition;
#[path = "monitoring/models.rs"]
mod models;
#[path = "monitoring/profiles.rs"]
mod profiles;
#[path = "monitoring/promql.rs"]
mod promql;
#[path = "monitoring/promtool.rs"]
mod promtool;
#[path = "monitoring/rules.rs"]
mod rules;
#[path = "support/tool.rs"]
mod tool;
