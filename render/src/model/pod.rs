//! `spec.availability`, `spec.network` and `spec.podTemplate`, with defaults applied.

use std::collections::BTreeSet;

use belfry_crds::inference_model::{Peer, TopologySpread};

/// How many replicas a drain or the loss of a node may take, with defaults applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidAvailability {
    /// Replicas that a drain may take at once.
    pub max_unavailable: i32,
    /// Whether pods are spread over zones, nodes or neither.
    pub topology_spread: TopologySpread,
    /// Priority of the pods.
    pub priority_class_name: Option<String>,
}

/// The port at which the model answers, and the clients that may call it, with defaults applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidNetwork {
    /// Port of the Service.
    pub port: i32,
    /// Clients that the generated NetworkPolicy admits; `None` for no policy.
    pub policy: Option<ValidPolicy>,
}

/// Connections that the generated NetworkPolicy admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidPolicy {
    /// Peers that may send requests; empty for every pod of the cluster.
    pub allow_from: Vec<Peer>,
    /// Namespace of Prometheus; `None` for any namespace.
    pub prometheus_namespace: Option<String>,
    /// TCP ports that the pods may reach beside that of the source: those of the specification, and those of proxies.
    pub egress_ports: BTreeSet<i32>,
    /// Ports at which pods that may reach anything resolve names.
    pub dns_ports: Vec<i32>,
}
