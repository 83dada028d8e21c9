//! Address of the workers: `http://NAME.NAMESPACE`, with the port unless it is 80.

use belfry_crds::contract::{METRICS_PORT_NAME, PORT_NAME, defaults};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{Component, object_meta, selector_labels};
use crate::model::ValidModel;

/// The Service of a model.
#[must_use]
pub fn service(model: &ValidModel) -> Service {
    let mut ports = vec![port(PORT_NAME, model.network.port)];
    if let Some(metrics) = model.metrics_port() {
        // Prometheus scrapes pods and not the Service, so any number works that differs from the first port.
        ports.push(port(METRICS_PORT_NAME, if metrics == model.network.port { metrics - 1 } else { metrics }));
    }
    Service {
        metadata: object_meta(model, Component::Worker),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(selector_labels(model)),
            ports: Some(ports),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Address of the model inside the cluster.
#[must_use]
pub fn endpoint(model: &ValidModel) -> String {
    let (name, namespace) = (&model.name, &model.namespace);
    match model.network.port {
        defaults::SERVICE_PORT => format!("http://{name}.{namespace}"),
        port => format!("http://{name}.{namespace}:{port}"),
    }
}

/// A port of the Service that leads to the container's port of the same name.
fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: number,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(name.into())),
        ..Default::default()
    }
}
