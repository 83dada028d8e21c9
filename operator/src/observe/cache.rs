//! The stores that watches fill, and questions to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use belfry_crds::InferenceModel;
use belfry_crds::contract::MODEL_LABEL;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::RwLock;

use super::Guarded;
use crate::kind::ChildKind;

/// What the operator's watches know of the cluster.
#[derive(Default)]
pub struct Cache {
    children: RwLock<BTreeMap<ChildKind, Store<DynamicObject>>>,
    pods: RwLock<Option<Store<Pod>>>,
    models: RwLock<Option<Store<Guarded>>>,
}

impl Cache {
    /// Adds the store of a kind, or takes it away when the cluster no longer knows the kind.
    pub fn set_children(&self, kind: ChildKind, store: Option<Store<DynamicObject>>) {
        let mut children = self.children.write();
        match store {
            Some(store) => children.insert(kind, store),
            None => children.remove(&kind),
        };
    }

    /// Adds the store of worker pods.
    pub fn set_pods(&self, store: Store<Pod>) {
        *self.pods.write() = Some(store);
    }

    /// Adds the store of models, which the controller fills.
    pub fn set_models(&self, store: Store<Guarded>) {
        *self.models.write() = Some(store);
    }

    /// Every model that can be decoded.
    #[must_use]
    pub fn models(&self) -> Vec<InferenceModel> {
        let models = self.models.read().as_ref().map(Store::state).unwrap_or_default();
        models.iter().filter_map(|model| model.0.as_ref().ok().cloned()).collect()
    }

    /// One model, if it can be decoded.
    #[must_use]
    pub fn model(&self, key: &ObjectRef<Guarded>) -> Option<InferenceModel> {
        let model = self.models.read().as_ref()?.get(key)?;
        model.0.as_ref().ok().cloned()
    }

    /// Managed objects with the label of that model, by kind and name.
    #[must_use]
    pub fn children(&self, namespace: &str, model: &str) -> BTreeMap<(ChildKind, String), Arc<DynamicObject>> {
        let stores = self.children.read();
        let mut found = BTreeMap::new();
        for (kind, store) in stores.iter() {
            for object in store.state_filter(|o| belongs(o, namespace, model)) {
                found.insert((*kind, object.name_any()), object);
            }
        }
        found
    }

    /// Worker pods with the label of that model.
    #[must_use]
    pub fn pods(&self, namespace: &str, model: &str) -> Vec<Arc<Pod>> {
        let pods = self.pods.read();
        let mut found =
            pods.as_ref().map(|store| store.state_filter(|p| belongs(p, namespace, model))).unwrap_or_default();
        found.sort_by_key(|pod| pod.name_any());
        found
    }

    /// Optional kinds without a store: the cluster does not know them.
    #[must_use]
    pub fn missing_kinds(&self) -> Vec<ChildKind> {
        let children = self.children.read();
        ChildKind::ALL.iter().copied().filter(|kind| kind.is_optional() && !children.contains_key(kind)).collect()
    }
}

fn belongs(object: &impl ResourceExt, namespace: &str, model: &str) -> bool {
    object.namespace().as_deref() == Some(namespace)
        && object.labels().get(MODEL_LABEL).is_some_and(|name| name == model)
}
