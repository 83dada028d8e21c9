//! `spec.availability` and `spec.scheduling`: how a model survives drains and the loss of a node, and where pods run.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::labels::{SELECTOR_MESSAGE, SELECTOR_RULE, label_value};

/// How the model survives drains and the loss of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Availability {
    /// How many replicas a drain may evict at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<DisruptionBudget>,
    /// What pods are spread over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_spread: Option<TopologySpread>,
    /// Name of a PriorityClass. Pods of a class may preempt pods of a lower one. System classes are refused. Default:
    /// the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[x_kube(validation = kube::core::Rule::new("!self.startsWith('system-')")
        .message("priorityClassName can't be a system class: use a class of your own"))]
    pub priority_class_name: Option<String>,
}

/// How many replicas a drain may evict at once. There is no `minAvailable`: it would block the drain of a node forever
/// once there are no more replicas than that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// Replicas that a drain may evict at once, 1 to 1000. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_unavailable: Option<i32>,
}

/// What pods are spread over, as far as there is room; a pod never waits for a better place. Default Node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TopologySpread {
    /// Over zones, and within a zone over nodes.
    Zone,
    /// Over nodes.
    #[default]
    Node,
    /// Not spread: the scheduler decides.
    None,
}

/// Where pods run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Labels that a node must have, at most 8. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(SELECTOR_RULE).message(SELECTOR_MESSAGE))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// Nodes that pods require or prefer. It is a part of Kubernetes' own affinity: one required term, a few preferred
    /// terms, and no term about other pods, since availability.topologySpread covers those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,
    /// Name of a RuntimeClass, such as one for a sandbox. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub runtime_class_name: Option<String>,
}

/// A taint that the pods tolerate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.operator) && self.operator == 'Exists' ? !has(self.value) : has(self.key)")
    .message("a toleration has a key and, unless its operator is Exists, a value: add the key, or remove the value"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')")
    .message("tolerationSeconds belongs to effect NoExecute: set the effect, or remove the seconds"))]
pub struct Toleration {
    /// Key of the taint. Default: every key; then the operator must be Exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316), regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9_./]*$"))]
    pub key: Option<String>,
    /// How the value is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"))]
    pub value: Option<String>,
    /// What the taint does. Default: all effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds for which a NoExecute taint is tolerated, 0 to 86400. Default: forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub toleration_seconds: Option<i64>,
}

/// How the value of a taint is compared. Default Equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are the same.
    #[default]
    Equal,
    /// The key exists.
    Exists,
}

/// What a taint does. Default: all effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// No new pods if another node fits.
    PreferNoSchedule,
    /// No new pods, and running pods are evicted.
    NoExecute,
}

/// Nodes that pods require or prefer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAffinity {
    /// Requirements that a node must meet, all of them, at most 8. Default: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub required: Vec<NodeRequirement>,
    /// Preferences for nodes, at most 8. Default: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preferred: Vec<NodePreference>,
}

/// A preference for nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePreference {
    /// Weight among the preferences, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Requirements that a preferred node meets, all of them, 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub requirements: Vec<NodeRequirement>,
}

/// A label of a node, and what its value may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0")
    .message("operators In and NotIn need values, Exists and DoesNotExist take none: add or remove values"))]
pub struct NodeRequirement {
    /// Key of the label.
    #[schemars(length(min = 1, max = 316), regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9_./]*$"))]
    pub key: String,
    /// How the value is compared.
    pub operator: NodeOperator,
    /// Values for In and NotIn, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("items" = label_value()))]
    pub values: Vec<String>,
}

/// How the value of a node's label is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum NodeOperator {
    /// One of the values.
    #[default]
    In,
    /// None of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}
