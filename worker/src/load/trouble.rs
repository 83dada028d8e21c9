//! What goes wrong on the way from an origin into the cache.

use std::path::Path;
use std::time::Duration;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

use crate::failure::failure;

/// Why a request did not bring what it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server answered with this status, and the beginning of this body.
    Status { code: u16, body: String, retry_after: Option<Duration> },
    /// A connection brought no byte for as long as a stall may last.
    Stalled,
    /// No connection, or one that broke.
    Connection(String),
    /// What came is not what was announced.
    Corrupt(String),
    /// The time of the whole download is over.
    Timeout,
    /// The cache can't be written.
    Disk(String),
}

/// A download that ended without an answer of the origin, in one line that says what to do.
pub(crate) fn broken(what: &str, cache: &Path, trouble: &Trouble) -> LoadFailure {
    let (reason, why) = match trouble {
        Trouble::Timeout => (
            LoadFailureReason::DownloadTimeout,
            "was not complete in its time; raise the time-out, or use a source that is nearer".to_owned(),
        ),
        Trouble::Stalled => (
            LoadFailureReason::DownloadStalled,
            "brought no byte, connection after connection; look at the network and at proxies on the way".to_owned(),
        ),
        Trouble::Disk(why) => (
            LoadFailureReason::DownloadFailed,
            format!("failed: {why}; mount a writable cache with room for the model at {}", cache.display()),
        ),
        Trouble::Corrupt(why) => (
            LoadFailureReason::DownloadFailed,
            format!("brought something else: {why}; look at mirrors and proxies on the way"),
        ),
        Trouble::Connection(why) => {
            (LoadFailureReason::DownloadFailed, format!("failed: {why}; check the network and the endpoint"))
        }
        Trouble::Status { code, .. } => {
            (LoadFailureReason::DownloadFailed, format!("was answered with {code}; try again later"))
        }
    };
    failure(reason, format!("download of {what} {why}"))
}
