//! Reasons why a worker could not load its model. The worker writes them, and the operator reads them.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The cause of a failed load: a reason of the condition `ModelLoaded`, and a label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, VariantArray)]
pub enum LoadFailureReason {
    /// The model's folder does not exist, is not a folder, or is an empty folder of a bucket.
    ModelNotFound,
    /// A file that the model needs is missing from its folder.
    FileMissing,
    /// A file exists, but is not what its name says: truncated, not safetensors, not JSON.
    FileCorrupt,
    /// A file exists, but the worker's user may not read it.
    PermissionDenied,
    /// config.json names an architecture, or a feature of one, that this worker does not serve.
    UnsupportedArchitecture,
    /// The weights do not fit the configuration: a tensor is missing or has another shape.
    WeightsMismatch,
    /// The hub or the bucket refused the credentials, or requires some.
    AuthFailed,
    /// The hub does not know the repository or the revision.
    RevisionNotFound,
    /// The hub or the bucket could not be reached, or the download broke off.
    DownloadFailed,
    /// The download did not complete within its time limit.
    DownloadTimeout,
    /// Several connections in a row delivered no byte.
    DownloadStalled,
    /// The model's digest differs from the one in the specification.
    DigestMismatch,
    /// The device that the specification asks for is missing.
    DeviceUnavailable,
    /// The model does not fit into memory.
    OutOfMemory,
    /// The first forward pass computed a number that is not finite.
    NumericalCheckFailed,
}

impl LoadFailureReason {
    /// Every reason, in the order of the enum.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in conditions, events and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The content of a worker's termination log: one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFailure {
    /// The cause.
    pub reason: LoadFailureReason,
    /// One line that names the file or the address, and says what to do.
    pub message: String,
}

impl LoadFailure {
    /// Reads a termination message; `None` if something else ended the container.
    #[must_use]
    pub fn parse(termination_message: &str) -> Option<Self> {
        serde_json::from_str(termination_message.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_round_trip_through_the_termination_log() {
        for reason in LoadFailureReason::ALL {
            let failure = LoadFailure { reason: *reason, message: "/models/x: \"quoted\"".into() };
            let line = serde_json::to_string(&failure).unwrap();
            assert!(line.contains(reason.as_str()), "{line}");
            assert_eq!(LoadFailure::parse(&format!("{line}\n")), Some(failure));
        }
    }

    #[test]
    fn a_foreign_termination_message_is_not_a_load_failure() {
        for text in ["", "Segmentation fault", "{}", r#"{"reason":"Unknown","message":"x"}"#] {
            assert_eq!(LoadFailure::parse(text), None, "{text}");
        }
    }
}
