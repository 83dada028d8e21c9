//! `spec.rollout` and `spec.probes`: how new pods replace old ones, and how long they may take.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How new pods replace old ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.maxSurge) || !has(self.maxUnavailable) || self.maxSurge + self.maxUnavailable > 0")
    .message("maxSurge and maxUnavailable can't both be 0, since no pod could ever be replaced: raise one of them"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.strategy) || self.strategy != 'Recreate' || (!has(self.maxSurge) && !has(self.maxUnavailable))")
    .message("strategy Recreate replaces all pods at once: remove maxSurge and maxUnavailable"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.strategy) || self.strategy != 'SurgeFirst' || !has(self.maxSurge) || self.maxSurge > 0")
    .message("strategy SurgeFirst needs a maxSurge of at least 1: raise it, or use CapacityBound"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.strategy) || self.strategy != 'CapacityBound' || ((!has(self.maxSurge) || self.maxSurge == 0) && (!has(self.maxUnavailable) || self.maxUnavailable > 0))")
    .message("strategy CapacityBound never starts a pod beside the old ones: remove maxSurge, and let maxUnavailable be at least 1"))]
#[x_kube(validation = kube::core::Rule::new("!has(self.progressDeadlineSeconds) || self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)")
    .message("progressDeadlineSeconds must be more than minReadySeconds: raise the deadline"))]
pub struct Rollout {
    /// Whether new pods start before old ones end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RolloutStrategy>,
    /// Pods that may exist beyond the replicas, 0 to 100. Default: 1 if new pods start first, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_surge: Option<i32>,
    /// Replicas that may be missing, 0 to 100. Default: 0 if new pods start first, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_unavailable: Option<i32>,
    /// Seconds that a new pod must be ready before the next one is replaced, 0 to 3600. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub min_ready_seconds: Option<i32>,
    /// Seconds without progress after which the rollout counts as stuck, 10 to 172800; old pods keep serving. Default:
    /// the start-up budget and minReadySeconds together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 172_800))]
    pub progress_deadline_seconds: Option<i32>,
    /// Seconds that a terminating pod may take for the requests that it accepted, 10 to 3600. Default 30. For other
    /// engines this is the pod's grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub drain_seconds: Option<i32>,
    /// `true` keeps the current pods, even if the specification changes, until the field is false again. The number of
    /// replicas still follows the specification. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Whether new pods start before old ones end. Default Auto: CapacityBound for pods that request a GPU or use a claim that
/// one pod or one node may use, because a new pod would wait forever for what an old one has; SurgeFirst for all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RolloutStrategy {
    /// CapacityBound for pods that request a GPU, or whose claim one pod or one node may use; else SurgeFirst.
    #[default]
    Auto,
    /// A new pod starts before an old one ends; capacity never falls.
    SurgeFirst,
    /// An old pod ends before its successor starts; no spare capacity is needed.
    CapacityBound,
    /// All old pods end before the first new one starts: two versions never answer at the same time.
    Recreate,
}

/// How long a pod may take to become ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Seconds that a pod may take to load and warm its model, 10 to 86400; then the kubelet restarts it. Liveness is
    /// checked only afterwards. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86_400))]
    pub startup_budget_seconds: Option<i32>,
}
