//! What a Deployment says of its pods, and the choices that it was made with.

use belfry_render::deployed::Deployed;
use k8s_openapi::api::apps::v1::DeploymentStatus;
use kube::core::DynamicObject;

/// The state of a Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeploymentState {
    /// Generation of its specification.
    pub generation: Option<i64>,
    /// Pods that it asks for, decided by the specification or by a scaler.
    pub replicas: Option<i32>,
    /// What its controller says.
    pub status: DeploymentStatus,
    /// The choices that it was made with.
    pub deployed: Deployed,
}

impl DeploymentState {
    /// Reads it from an object as the API server sends it.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
        let replicas = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
        Self {
            generation: object.metadata.generation,
            replicas: replicas.and_then(|replicas| i32::try_from(replicas).ok()),
            status: status.unwrap_or_default(),
            deployed: Deployed::of(object),
        }
    }
}
