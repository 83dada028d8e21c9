//! Address of the workers: `http://NAME.NAMESPACE`.

use belfry_crds::contract::PORT_NAME;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{Component, object_meta, selector_labels};
use crate::validate::ValidModel;

/// Port of the Service.
pub const PORT: i32 = 80;

/// The Service of a model.
#[must_use]
pub fn service(model: &ValidModel) -> Service {
    Service {
        metadata: object_meta(model, Component::Worker),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(selector_labels(model)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.into()),
                port: PORT,
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::String(PORT_NAME.into())),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Address of the model inside the cluster.
#[must_use]
pub fn endpoint(model: &ValidModel) -> String {
    format!("http://{}.{}", model.name, model.namespace)
}
