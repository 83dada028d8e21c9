//! The PodDisruptionBudget: a drain takes one worker at a time, and a worker that is not ready never blocks it.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{Component, object_meta, selector};
use crate::model::ValidModel;

/// The PodDisruptionBudget of a model. It sets `maxUnavailable` and not `minAvailable`, which would
/// block a node's drain for ever if there is one replica.
#[must_use]
pub fn pod_disruption_budget(model: &ValidModel) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: object_meta(model, Component::Worker),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(model.availability.max_unavailable)),
            selector: Some(selector(model)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}
