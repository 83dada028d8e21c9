//! `spec.observability.alerts`: which of the alerts a model has, and how they ring.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Which of the alerts a model has, and how they ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    /// Which alerts there are. Default Standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<AlertProfile>,
    /// Exceptions, at most 40. What an exception does not name stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["alert".into()]))]
    pub overrides: Vec<AlertOverride>,
}

/// A set of alerts. Each has those of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum AlertProfile {
    /// No alert but those that an override enables. Objectives are recorded all the same.
    None,
    /// The model does not answer, does not load, can't be seen, or breaks an objective.
    Minimal,
    /// Every alert.
    #[default]
    Standard,
}

impl AlertProfile {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Minimal => "Minimal",
            Self::Standard => "Standard",
        }
    }
}

/// An exception: what is not set stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertOverride {
    /// Name of the alert, such as `InferenceQueueSaturated`; see docs/runbooks. It has to be one about models.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub alert: String,
    /// Whether the model has it. Default: as the profile says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long its condition has to hold, `0s` to `999h`. Default: as its rule says, which its runbook explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "for")]
    #[schemars(length(max = 4), regex(pattern = "^(0|[1-9][0-9]{0,2})[smh]$"))]
    pub for_: Option<String>,
    /// Label `severity` of all its rules. Default: as its rules say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<AlertSeverity>,
}

/// The label `severity` of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Somebody must look now.
    Critical,
    /// Somebody must look within the working day.
    Warning,
    /// Good to know.
    Info,
}

impl AlertSeverity {
    /// Value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}
