//! Live children against desired ones: the only module that validates a model and renders its children.
//!
//! A live object is compared once, when a watch shows a content for the first time, and the cache keeps the answer. Names
//! and hashes of the desired children are kept until something that they depend on changes, so that a pass which changes
//! nothing renders nothing.

mod contains;
mod structure;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};

use belfry_crds::InferenceModel;
use belfry_render::children::metadata::{self, ContentHash};
use belfry_render::children::{Child, child};
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::model::ValidModel;
use belfry_render::problem::Problem;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use belfry_render::validate::validate_running;
use kube::ResourceExt;
use kube::core::DynamicObject;
use parking_lot::Mutex;

use crate::observe::{Compare, Few, ModelKey};
use contains::object_contains;

/// Validates models, renders their children, and compares these with live ones.
#[derive(Default)]
pub struct Drift {
    settings: Settings,
    summaries: Mutex<BTreeMap<ModelKey, Summaries>>,
}

/// The hashes of a model's desired children, as far as they were rendered from one set of answers.
#[derive(Default)]
struct Summaries {
    /// Hash of the answers.
    of: u64,
    children: Few<Role, Option<ContentHash>>,
}

/// A desired child without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Name of the object.
    pub name: String,
    /// Hash of its content; `None` when it must not exist.
    pub hash: Option<ContentHash>,
}

/// A model of which every question is answered, and a hash of the answers.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What children are rendered from.
    pub model: ValidModel,
    hash: u64,
}

impl Desired {
    fn new(model: ValidModel) -> Self {
        let mut hash = Hash(DefaultHasher::new());
        // Writing into a hasher never fails.
        let _ = write!(hash, "{model:?}");
        Self { hash: hash.0.finish(), model }
    }
}

/// Hashes what is written into it. The types of a valid model hold floating-point numbers, so that they have no `Hash`.
struct Hash(DefaultHasher);

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Drift {
    /// Renders with these settings of the operator.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The settings of the operator that reach the children.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Checks a model and applies the defaults; `deployed` says which choices its Deployment was made with.
    ///
    /// # Errors
    /// Every problem at once, each with its field.
    pub fn validate(&self, model: &InferenceModel, deployed: Option<&Deployed>) -> Result<Desired, Vec<Problem>> {
        validate_running(model, deployed, &self.settings).map(Desired::new)
    }

    /// The summary of a child, and the child too when it had to be rendered for that.
    ///
    /// # Errors
    /// As [`child`].
    pub fn summary(
        &self,
        key: &ModelKey,
        role: Role,
        desired: &Desired,
    ) -> Result<(Summary, Option<Child>), serde_json::Error> {
        let known = {
            let summaries = self.summaries.lock();
            let of_model = summaries.get(key).filter(|summaries| summaries.of == desired.hash);
            of_model.and_then(|summaries| summaries.children.get(&role).copied())
        };
        if let Some(hash) = known {
            return Ok((Summary { name: role.name(&desired.model.name), hash }, None));
        }
        let child = child(role, &desired.model)?;
        let summary = Summary { name: child.name.clone(), hash: child.hash() };
        let mut summaries = self.summaries.lock();
        let of_model = summaries.entry(key.clone()).or_default();
        if of_model.of != desired.hash {
            *of_model = Summaries { of: desired.hash, children: Few::default() };
        }
        of_model.children.insert(role, summary.hash);
        Ok((summary, Some(child)))
    }

    /// Forgets the summaries of a model that is gone.
    pub fn forget(&self, key: &ModelKey) {
        self.summaries.lock().remove(key);
    }

    /// Renders a child whole.
    ///
    /// # Errors
    /// As [`child`].
    pub fn render(&self, role: Role, desired: &Desired) -> Result<Child, serde_json::Error> {
        child(role, &desired.model)
    }
}

impl Compare for Drift {
    fn holds(
        &self,
        key: &ModelKey,
        (kind, object): (ChildKind, &DynamicObject),
        model: &InferenceModel,
        deployed: Option<&Deployed>,
    ) -> Option<ContentHash> {
        let (claimed, role) = (metadata::hash_of(object)?, Role::of(kind, &object.name_any(), &key.name)?);
        // A Deployment says itself what it was made with.
        let own = (kind == ChildKind::Deployment).then(|| Deployed::of(object));
        let desired = self.validate(model, own.as_ref().or(deployed)).ok()?;
        let (summary, rendered) = self.summary(key, role, &desired).ok()?;
        if summary.hash != Some(claimed) {
            return None;
        }
        let child = rendered.map_or_else(|| self.render(role, &desired), Ok).ok()?;
        object_contains(kind, object, &child.object?).then_some(claimed)
    }
}

#[cfg(test)]
mod tests;
