//! `spec.availability`, `spec.network` and `spec.podTemplate`, with defaults applied.

use belfry_crds::inference_model::{Peer, TopologySpread};

/// What the loss of a node or a drain may cost, with defaults applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidAvailability {
    /// Replicas that a drain may take at once.
    pub max_unavailable: i32,
    /// Over what pods are spread.
    pub topology_spread: TopologySpread,
    /// Priority of the pods.
    pub priority_class_name: Option<String>,
}

/// Where the model answers, and whom, with defaults applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidNetwork {
    /// Port of the Service.
    pub port: i32,
    /// Whom the generated NetworkPolicy admits; `None` for no policy.
    pub policy: Option<ValidPolicy>,
}

/// Whom the generated NetworkPolicy admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidPolicy {
    /// Who may send requests; empty for every pod of the cluster.
    pub allow_from: Vec<Peer>,
    /// Where Prometheus runs; `None` for any namespace.
    pub prometheus_namespace: Option<String>,
}
