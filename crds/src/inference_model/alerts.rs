//! `spec.observability.alerts`: which alerts a model has, and how they fire.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Which alerts a model has, and how they fire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    /// The set of alerts. Default Standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<AlertProfile>,
    /// Exceptions, at most 40. A setting that an exception omits stays unchanged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["alert".into()]))]
    pub overrides: Vec<AlertOverride>,
}

/// A set of alerts. Each set includes the one before it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    IntoStaticStr,
)]
pub enum AlertProfile {
    /// Only alerts that an override enables. Objectives are still recorded.
    None,
    /// The model does not answer, does not load, can't be observed, or breaks an objective.
    Minimal,
    /// Also what a person should know within the working day: slow answers, full queues, pods that do not start.
    #[default]
    Standard,
    /// Every alert, also those that hint at something: fewer replicas than wanted, restarts, slow loads, no requests, a CPU limit
    /// that holds workers back, an autoscaler at its maximum.
    Full,
}

impl AlertProfile {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An exception for one alert. A setting that is omitted stays unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertOverride {
    /// Name of the alert, such as `InferenceQueueSaturated`; see docs/runbooks. It must be an alert about models.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub alert: String,
    /// Whether the model has the alert. Default: the profile decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long its condition must hold, `0s` to `999h`. Default: the time of its rule, which its runbook explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "for")]
    #[schemars(length(max = 4), regex(pattern = "^(0|[1-9][0-9]{0,2})[smh]$"))]
    pub for_: Option<String>,
    /// Label `severity` of all its rules. Default: the severity of its rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<AlertSeverity>,
}

/// The label `severity` of alerts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AlertSeverity {
    /// A person must act now.
    Critical,
    /// A person must act within the working day.
    Warning,
    /// For information.
    Info,
}

impl AlertSeverity {
    /// Value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
