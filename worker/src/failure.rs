//! A load that fails: its reason for the operator, and one line for people.

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

/// What every step of a load returns.
pub type Result<T> = std::result::Result<T, LoadFailure>;

/// A failure with its message. Messages are one line, whatever a library puts into its own.
pub fn failure(reason: LoadFailureReason, message: impl AsRef<str>) -> LoadFailure {
    let line = message.as_ref().split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    LoadFailure { reason, message: line.join(" ") }
}
