//! `spec.observability.alerts`, with defaults applied.

use std::collections::BTreeMap;

use belfry_crds::inference_model::{AlertOverride, AlertProfile, AlertSeverity};

/// Which alerts a model has, and how they ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidAlerts {
    /// The alerts that a model has without a word about each.
    pub profile: AlertProfile,
    /// Exceptions, by the name of the alert.
    pub overrides: BTreeMap<String, AlertOverride>,
}

impl ValidAlerts {
    /// Whether the model has an alert that belongs to all profiles from that one on.
    #[must_use]
    pub fn has(&self, alert: &str, from: AlertProfile) -> bool {
        let told = self.overrides.get(alert).and_then(|exception| exception.enabled);
        told.unwrap_or(self.profile >= from)
    }

    /// How long the condition of the alert has to hold, if not as long as its rule says.
    #[must_use]
    pub fn duration(&self, alert: &str) -> Option<&str> {
        self.overrides.get(alert)?.for_.as_deref()
    }

    /// How soon somebody must look, if it is not as its rules say.
    #[must_use]
    pub fn severity(&self, alert: &str) -> Option<AlertSeverity> {
        self.overrides.get(alert)?.severity
    }
}
