//! Errors of a download from an origin into the cache.

use std::path::Path;
use std::time::Duration;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

use crate::failure::failure;

/// Why a request of a download failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server answered with this status, and the beginning of this body.
    Status { code: u16, body: String, retry_after: Option<Duration> },
    /// A connection delivered no byte within the stall time-out.
    Stalled,
    /// No connection, or one that broke.
    Connection(String),
    /// The data differs from the announced data.
    Corrupt(String),
    /// The time limit of the whole download passed.
    Timeout,
    /// The cache can't be written.
    Disk(String),
}

/// The failure of a download that ended without an answer of the origin, in one line that says what to do.
pub(crate) fn broken(what: &str, cache: &Path, trouble: &Trouble) -> LoadFailure {
    let (reason, why) = match trouble {
        Trouble::Timeout => (
            LoadFailureReason::DownloadTimeout,
            "did not complete in time; raise the time-out, or use a closer source".to_owned(),
        ),
        Trouble::Stalled => (
            LoadFailureReason::DownloadStalled,
            "received no byte over several connections; check the network and the proxies on the way".to_owned(),
        ),
        Trouble::Disk(why) => (
            LoadFailureReason::DownloadFailed,
            format!("failed: {why}; mount a writable cache with room for the model at {}", cache.display()),
        ),
        Trouble::Corrupt(why) => (
            LoadFailureReason::DownloadFailed,
            format!("received wrong data: {why}; check the mirrors and proxies on the way"),
        ),
        Trouble::Connection(why) if why.contains("certificate") || why.contains("UnknownIssuer") => (
            LoadFailureReason::DownloadFailed,
            format!(
                "failed: {why}; if the certificate comes from an authority of your own, name it in spec.model.caBundle, or with \
                 --ca-file (BELFRY_CA_FILE) or SSL_CERT_FILE"
            ),
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
