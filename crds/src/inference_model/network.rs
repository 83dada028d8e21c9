//! `spec.network`: the model's Service port and network policy.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::labels::{SELECTOR_MESSAGE, SELECTOR_RULE, label_value};

/// The model's Service port and network policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Port of the Service, 1 to 65535. Default 80. It does not change the pods' own port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// Which connections to and from the pods are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<PolicyRules>,
}

/// Which connections to and from the pods are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.mode) || self.mode != 'None' || (!has(self.allowFrom) && !has(self.prometheusNamespace) && !has(self.egressPorts) && !has(self.dnsPorts))")
    .message("mode None writes no NetworkPolicy: remove allowFrom, prometheusNamespace, egressPorts and dnsPorts, or the mode"))]
pub struct PolicyRules {
    /// Whether the operator writes a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<PolicyMode>,
    /// Pods that may send requests, at most 16 entries; an entry admits pods that match all of its selectors. Default:
    /// every pod of the cluster. Prometheus is always admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub allow_from: Vec<Peer>,
    /// Namespace of Prometheus. Its pods with the label `app.kubernetes.io/name: prometheus` are admitted in addition
    /// to allowFrom, without which everybody is. Default: such pods of every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub prometheus_namespace: Option<String>,
    /// TCP ports that the pods may reach, at most 8, beside those of the model's source and of a proxy whose address is
    /// the value of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in podTemplate.env. Name the proxy's port here if its address
    /// is in a Secret. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("items" = port()))]
    pub egress_ports: Vec<i32>,
    /// Ports at which pods that may reach anything resolve names, by UDP and TCP, at most 4. A policy sees the port of
    /// the DNS server's pod and not that of its Service: OpenShift has 5353. Default: 53.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("items" = port()))]
    pub dns_ports: Vec<i32>,
}

fn port() -> serde_json::Value {
    serde_json::json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535})
}

/// Whether the operator writes a NetworkPolicy. Default Generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PolicyMode {
    /// A policy that admits requests and Prometheus on the pods' ports, and lets the pods reach their model's source.
    #[default]
    Generated,
    /// No policy; another policy of the namespace may still apply.
    None,
}

/// Pods that may send requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.namespaceLabels) || has(self.podLabels)")
    .message("an entry without a selector admits everybody: set namespaceLabels or podLabels"))]
pub struct Peer {
    /// Labels of their namespace, at most 8; `kubernetes.io/metadata.name` is its name. Default: the model's namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(SELECTOR_RULE).message(SELECTOR_MESSAGE))]
    pub namespace_labels: BTreeMap<String, String>,
    /// Labels of the pods, at most 8. Default: every pod of the namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(SELECTOR_RULE).message(SELECTOR_MESSAGE))]
    pub pod_labels: BTreeMap<String, String>,
}
