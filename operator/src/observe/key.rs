//! The identity of a model within the operator.

use std::fmt;

use belfry_crds::InferenceModel;
use belfry_crds::contract::MODEL_LABEL;
use kube::{Resource, ResourceExt};

/// Namespace and name of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey {
    /// Namespace of the model and of its children.
    pub namespace: String,
    /// Name of the model.
    pub name: String,
}

impl ModelKey {
    /// The key of a model.
    #[must_use]
    pub fn of(model: &impl ResourceExt) -> Self {
        Self { namespace: model.namespace().unwrap_or_default(), name: model.name_any() }
    }

    /// The model that an object belongs to: its owner, or for a pod, which a ReplicaSet owns, the one that its label
    /// names. The label alone would not do, because it may have been edited.
    #[must_use]
    pub fn of_owner(object: &impl ResourceExt) -> Option<Self> {
        let kind = InferenceModel::kind(&());
        let owner = object.owner_references().iter().find(|owner| owner.kind == kind).map(|owner| &owner.name);
        let name = owner.or_else(|| object.labels().get(MODEL_LABEL))?.clone();
        Some(Self { namespace: object.namespace()?, name })
    }
}

impl fmt::Display for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
