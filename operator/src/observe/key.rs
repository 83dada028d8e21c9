//! The identity of a model within the operator.

use std::fmt;
use std::sync::Arc;

use belfry_crds::InferenceModel;
use belfry_crds::contract::MODEL_LABEL;
use kube::{Resource, ResourceExt};

use super::texts::share;

/// Namespace and name of a model. Half a dozen maps hold the key of each model, and all of them the same texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey {
    /// Namespace of the model and of its children.
    pub namespace: Arc<str>,
    /// Name of the model.
    pub name: Arc<str>,
}

impl ModelKey {
    /// The key of a model with this name.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: share(namespace), name: share(name) }
    }

    /// The key of a model.
    #[must_use]
    pub fn of(model: &impl ResourceExt) -> Self {
        Self::new(&model.namespace().unwrap_or_default(), &model.name_any())
    }

    /// The model that an object belongs to: its owner, or for a pod, which a ReplicaSet owns, the one that its label
    /// names. The label alone would not do, because it may have been edited.
    #[must_use]
    pub fn of_owner(object: &impl ResourceExt) -> Option<Self> {
        let kind = InferenceModel::kind(&());
        let owner = object.owner_references().iter().find(|owner| owner.kind == kind).map(|owner| &owner.name);
        let name = owner.or_else(|| object.labels().get(MODEL_LABEL))?;
        Some(Self::new(&object.namespace()?, name))
    }
}

impl fmt::Display for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
