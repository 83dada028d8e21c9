//! Identity of the workers. It has no rights in the cluster, and its token is mounted nowhere; annotations may give it rights
//! in a cloud.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{Component, add_annotations, object_meta};
use crate::model::ValidModel;

/// The ServiceAccount of a model's workers.
#[must_use]
pub fn service_account(model: &ValidModel) -> ServiceAccount {
    let mut metadata = object_meta(model, Component::Worker);
    add_annotations(&mut metadata, &model.pod_template.service_account_annotations);
    ServiceAccount { metadata, automount_service_account_token: Some(false), ..Default::default() }
}
