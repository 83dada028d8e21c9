//! The Grafana dashboard, in a ConfigMap that Grafana's sidecar picks up.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata::{Component, add_annotations, add_labels, object_meta};
use crate::model::ValidModel;
use crate::monitoring;
use crate::role::Role;

/// The dashboard of a model, unless the specification switches it off.
#[must_use]
pub fn dashboard(model: &ValidModel) -> Option<ConfigMap> {
    let labels = model.monitoring.dashboard_labels.as_ref()?;
    let mut metadata = object_meta(model, Component::Monitoring);
    metadata.name = Some(Role::Dashboard.name(&model.name));
    add_labels(&mut metadata, labels);
    add_annotations(&mut metadata, &model.monitoring.dashboard_annotations);
    // Minified: a client-side apply of the object must stay under the limit of an annotation.
    let json = monitoring::dashboard(model).to_string();
    Some(ConfigMap {
        metadata,
        data: Some(BTreeMap::from([(monitoring::dashboard_file_name(model), json)])),
        ..Default::default()
    })
}
