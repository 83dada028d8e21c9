//! `spec.quality`: what the quality of a model's answers is measured against.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::source::ConfigMapKeyRef;

/// What the quality of a model's answers is measured against. Only for Belfry's own worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// Texts of a known-good hour, as `belfry baseline` saves them. Workers compare the last hour with it, and show how far
    /// it is in `inference_drift_score`. The ConfigMap may come later: pods start without it, and read it when it is there.
    /// One that can't be used, or is of another model, stops no pod. Default: none, and so no drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<ConfigMapKeyRef>,
}
