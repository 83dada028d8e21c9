//! What exists: the model's children and pods, and whether the cluster knows the monitoring kinds.
//!
//! Everything is read from the [`Cache`], which watches fill. A pass makes no request to find out
//! that nothing changed (invariant 2).

mod cache;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;

use belfry_crds::InferenceModel;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::{DeserializeGuard, DynamicObject};

pub use cache::Cache;
pub use watches::{Watches, start};

use crate::kind::ChildKind;

/// An `InferenceModel`, or the error of one that can't be decoded: that one must not stop the others.
pub type Guarded = DeserializeGuard<InferenceModel>;

/// What the cluster holds of one model at one moment.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Objects that the operator manages and that belong to the model, by kind and name.
    pub children: BTreeMap<(ChildKind, String), Arc<DynamicObject>>,
    /// The model's worker pods.
    pub pods: Vec<Arc<Pod>>,
    /// Optional kinds that the cluster does not know.
    pub missing_kinds: Vec<ChildKind>,
}

impl Observed {
    /// The Deployment of the workers, if it is there.
    #[must_use]
    pub fn deployment(&self) -> Option<Deployment> {
        let object = self.children.iter().find(|((kind, _), _)| *kind == ChildKind::Deployment)?.1;
        as_deployment(object)
    }

    /// The scaler of the workers, if it is there.
    #[must_use]
    pub fn scaler(&self) -> Option<&DynamicObject> {
        self.children.iter().find(|((kind, _), _)| kind.is_scaler()).map(|(_, object)| object.as_ref())
    }
}

/// An object of the cache as the Deployment that it is.
#[must_use]
pub fn as_deployment(object: &DynamicObject) -> Option<Deployment> {
    serde_json::from_value(serde_json::to_value(object).ok()?).ok()
}

/// Reads what the cache knows of a model.
#[must_use]
pub fn observe(model: &InferenceModel, cache: &Cache) -> Observed {
    let namespace = model.namespace().unwrap_or_default();
    Observed {
        children: cache.children(&namespace, &model.name_any()),
        pods: cache.pods(&namespace, &model.name_any()),
        missing_kinds: cache.missing_kinds(),
    }
}
