//! What a Deployment says of its pods, and the choices that it was made with.

use belfry_render::deployed::Deployed;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use kube::core::DynamicObject;
use serde::Deserialize as _;

/// The state of a Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeploymentState {
    /// Generation of its specification.
    pub generation: Option<i64>,
    /// Pods that it asks for, decided by the specification or by a scaler.
    pub replicas: Option<i32>,
    /// What its controller says. Of the conditions only those that say what is wrong.
    pub status: DeploymentStatus,
    /// The choices that it was made with.
    pub deployed: Deployed,
}

impl DeploymentState {
    /// Reads it from an object as the API server sends it.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").and_then(|status| DeploymentStatus::deserialize(status).ok());
        let mut status = status.unwrap_or_default();
        status.conditions = status.conditions.map(|all| all.into_iter().filter(is_fault).collect());
        let replicas = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
        Self {
            generation: object.metadata.generation,
            replicas: replicas.and_then(|replicas| i32::try_from(replicas).ok()),
            status,
            deployed: Deployed::of(object),
        }
    }
}

/// A Deployment that is well says so in four hundred bytes, which no one reads.
fn is_fault(condition: &DeploymentCondition) -> bool {
    matches!(
        (condition.type_.as_str(), condition.status.as_str()),
        ("ReplicaFailure", "True") | ("Progressing", "False")
    )
}
