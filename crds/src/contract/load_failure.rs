//! Reasons why a worker could not load its model. The worker writes them, and the operator reads them.

use serde::{Deserialize, Serialize};

/// The cause of a failed load: a reason of the condition `ModelLoaded`, and a label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LoadFailureReason {
    /// The model's folder does not exist, is not a folder, or is an empty folder of a bucket.
    ModelNotFound,
    /// A file that the model needs is missing from its folder.
    FileMissing,
    /// A file exists, but is not what its name says: truncated, not safetensors, not JSON.
    FileCorrupt,
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
    pub const ALL: &[Self] = &[
        Self::ModelNotFound,
        Self::FileMissing,
        Self::FileCorrupt,
        Self::UnsupportedArchitecture,
        Self::WeightsMismatch,
        Self::AuthFailed,
        Self::RevisionNotFound,
        Self::DownloadFailed,
        Self::DownloadTimeout,
        Self::DownloadStalled,
        Self::DigestMismatch,
        Self::DeviceUnavailable,
        Self::OutOfMemory,
        Self::NumericalCheckFailed,
    ];

    /// The name in conditions, events and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelNotFound => "ModelNotFound",
            Self::FileMissing => "FileMissing",
            Self::FileCorrupt => "FileCorrupt",
            Self::UnsupportedArchitecture => "UnsupportedArchitecture",
            Self::WeightsMismatch => "WeightsMismatch",
            Self::AuthFailed => "AuthFailed",
            Self::RevisionNotFound => "RevisionNotFound",
            Self::DownloadFailed => "DownloadFailed",
            Self::DownloadTimeout => "DownloadTimeout",
            Self::DownloadStalled => "DownloadStalled",
            Self::DigestMismatch => "DigestMismatch",
            Self::DeviceUnavailable => "DeviceUnavailable",
            Self::OutOfMemory => "OutOfMemory",
            Self::NumericalCheckFailed => "NumericalCheckFailed",
        }
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
