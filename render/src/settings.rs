//! Settings of the installation that affect the children. The operator's command line sets them once, at the start.

use belfry_crds::contract::defaults;

/// Settings that the installation decides, not the specification of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of workers whose specification names no image.
    pub worker_image: String,
    /// Base address of the runbooks, if the specification names no other.
    pub runbook_base_url: String,
    /// Address of Grafana; `None` if it is not known, and pages then link no dashboard.
    pub grafana_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            worker_image: concat!("belfry-worker:", env!("CARGO_PKG_VERSION")).into(),
            runbook_base_url: defaults::RUNBOOK_BASE_URL.into(),
            grafana_url: None,
        }
    }
}
