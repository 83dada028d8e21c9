//! A failed load: a reason for the operator, and one line for users.

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason};

/// The result of every step of a load.
pub type Result<T> = std::result::Result<T, LoadFailure>;

/// A failure with its message. The message becomes one line, even if a library's own has more.
pub fn failure(reason: LoadFailureReason, message: impl AsRef<str>) -> LoadFailure {
    let line = message.as_ref().split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    LoadFailure { reason, message: line.join(" ") }
}
