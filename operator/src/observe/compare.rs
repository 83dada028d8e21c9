//! What the watches ask about a child whose content they show for the first time.

use belfry_crds::InferenceModel;
use belfry_render::children::metadata::ContentHash;
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use kube::core::DynamicObject;

use super::ModelKey;

/// Compares live children with what their models want. The cache keeps the answer, and not the object.
pub trait Compare: Send + Sync {
    /// The hash of the desired child, if the live one holds every field of it. `deployed` says which choices the model's
    /// Deployment was made with.
    fn holds(
        &self,
        key: &ModelKey,
        child: (ChildKind, &DynamicObject),
        model: &InferenceModel,
        deployed: Option<&Deployed>,
    ) -> Option<ContentHash>;
}
