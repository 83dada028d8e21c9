//! `spec.observability.alerts`, with defaults applied.

use std::collections::BTreeMap;

use belfry_crds::inference_model::{AlertOverride, AlertProfile, AlertSeverity};

/// The alerts of a model, and their durations and severities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidAlerts {
    /// The set of alerts that the model has unless an override says otherwise.
    pub profile: AlertProfile,
    /// Overrides, by the name of the alert.
    pub overrides: BTreeMap<String, AlertOverride>,
}

impl ValidAlerts {
    /// Whether the model has an alert that belongs to the profile `from` and to all larger ones.
    #[must_use]
    pub fn has(&self, alert: &str, from: AlertProfile) -> bool {
        let enabled = self.overrides.get(alert).and_then(|one| one.enabled);
        enabled.unwrap_or(self.profile >= from)
    }

    /// Time for which the alert's condition has to hold; `None` for the time of its rule.
    #[must_use]
    pub fn duration(&self, alert: &str) -> Option<&str> {
        self.overrides.get(alert)?.for_.as_deref()
    }

    /// Severity of the alert; `None` for the severity of its rules.
    #[must_use]
    pub fn severity(&self, alert: &str) -> Option<AlertSeverity> {
        self.overrides.get(alert)?.severity
    }
}
