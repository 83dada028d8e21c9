//! The harness of the tests on a real cluster: `make e2e` starts the cluster and runs them.
//!
//! Each test gets a [`Namespace`] of its own, puts models into it, and asks from outside: the API
//! server, Prometheus, Alertmanager, the audit log and the node's processes. Only
//! [`wait`] waits. It has a bound and says what it saw last.

#![allow(clippy::missing_errors_doc, reason = "every error of the harness is the failure of a test")]
#![allow(clippy::must_use_candidate, reason = "tests use what they ask for")]

pub mod alertmanager;
pub mod audit;
pub mod bells;
pub mod bench;
pub mod bucket;
pub mod chaos;
pub mod cluster;
mod cluster_lock;
pub mod describe;
pub mod embed;
pub mod exposition;
pub mod files;
pub mod hub;
pub mod model;
pub mod namespace;
pub mod objects;
pub mod operator;
pub mod pager;
pub mod process;
pub mod prometheus;
pub mod own_collector;
pub mod own_process;
pub mod own_prometheus;
pub mod proxy;
pub mod control_plane;
pub mod tls;
pub mod volume;
pub mod wait;
pub mod weights;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use cluster::{Answer, Cluster};
pub use model::{Served, sample};
pub use namespace::{Namespace, TestResult, alone_in_the_cluster, in_namespace};
pub use objects::UNSCALED;

/// Where the chart is installed.
pub const SYSTEM_NAMESPACE: &str = "belfry-system";

/// Name of the operator's Deployment, Service and service account.
pub const OPERATOR: &str = "belfry-operator";

/// Field manager of what the tests write.
pub const FIELD_MANAGER: &str = "belfry-e2e";

/// That many seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A program that `e2e/tools/build.sh` or `e2e/tools/clients.sh` made.
pub fn tool(name: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default();
    let cache = std::env::var_os("BELFRY_CACHE").map_or_else(|| cache.join("belfry"), PathBuf::from);
    cache.join("tools/bin").join(name)
}

/// A program of ours, as `cargo build` left it.
pub fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    target.unwrap_or(own).join("debug").join(name)
}

/// Writes a figure where people see it although the test passes: the test harness keeps back what
/// goes through `print!`.
pub fn report(line: &str) {
    use std::io::Write as _;
    // A figure that can't be shown fails no test.
    drop(writeln!(std::io::stderr(), "e2e: {line}"));
}
