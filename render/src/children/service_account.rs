//! Identity of the workers. It has no rights, and its token is mounted nowhere.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{Component, object_meta};
use crate::model::ValidModel;

/// The ServiceAccount of a model's workers.
#[must_use]
pub fn service_account(model: &ValidModel) -> ServiceAccount {
    ServiceAccount {
        metadata: object_meta(model, Component::Worker),
        automount_service_account_token: Some(false),
        ..Default::default()
    }
}
