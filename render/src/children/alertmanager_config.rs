//! The AlertmanagerConfig. [`crate::routing`] writes its content.

use belfry_crds::alertmanager::AlertmanagerConfig;

use super::metadata::{Component, add_labels, object_meta};
use crate::model::ValidModel;
use crate::routing;

/// The AlertmanagerConfig of a model that asks for one.
#[must_use]
pub fn alertmanager_config(model: &ValidModel) -> Option<AlertmanagerConfig> {
    let routing = model.monitoring.routing.as_ref()?;
    let mut metadata = object_meta(model, Component::Monitoring);
    add_labels(&mut metadata, &routing.labels);
    Some(AlertmanagerConfig { metadata, spec: routing::spec(model, routing) })
}
