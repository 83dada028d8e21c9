//! A drain takes one worker at a time, and is never stopped by a worker that does not work anyway.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{Component, object_meta, selector};
use crate::model::ValidModel;

/// The PodDisruptionBudget of a model. `maxUnavailable` and not `minAvailable`, since the latter
/// would block a node's drain for ever where there is one replica.
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
