//! Settings of the operator that reach the children. The command line sets them once, at the start.

use belfry_crds::contract::defaults;

/// What the installation decides, and not the specification of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of workers whose specification names none.
    pub worker_image: String,
    /// Where runbooks stand when the specification names no other place.
    pub runbook_base_url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            worker_image: concat!("belfry-worker:", env!("CARGO_PKG_VERSION")).into(),
            runbook_base_url: defaults::RUNBOOK_BASE_URL.into(),
        }
    }
}
