//! What exists: the models, their children and their pods.
//!
//! Everything is read from the [`Cache`], which watches fill. A pass makes no request to find out
//! that nothing changed (invariant 2). The cache keeps a few hundred bytes of each object, and not
//! the object: dashboards and rules of ten thousand models would weigh a gigabyte.

mod cache;
mod feed;
mod key;
mod listing;
mod live;
mod nodes;
mod optional;
mod pauses;
mod place;
mod sink;
mod trigger;
mod wanted;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;

use belfry_crds::InferenceModel;
use k8s_openapi::api::apps::v1::DeploymentStatus;
use kube::core::{DeserializeGuard, DynamicObject};

pub use cache::Cache;
pub use feed::{Scope, WATCH_SECONDS};
pub use key::ModelKey;
pub use live::Live;
pub use nodes::Nodes;
pub use place::{Capacity, Place};
pub use trigger::{Trigger, Triggers, Urgency};
pub use wanted::{Summary, Wanted};
pub use watches::{Watches, start};

use crate::status::{PodReport, ScalerReport};
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;

/// An `InferenceModel`, or the error of one that can't be decoded: that one must not stop the others.
pub type Guarded = DeserializeGuard<InferenceModel>;

/// What the cluster holds of one model at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The model.
    pub model: Arc<InferenceModel>,
    /// Objects that the operator manages and that belong to the model, by kind and name.
    pub children: BTreeMap<(ChildKind, String), Live>,
    /// The state of the Deployment of the workers, if it is there.
    pub deployment: Option<Rollout>,
    /// What the scaler of the workers says, if it is there.
    pub scaler: Option<ScalerReport>,
    /// What the model's worker pods say.
    pub pods: Vec<PodReport>,
    /// Optional kinds that the cluster does not know.
    pub missing_kinds: Vec<ChildKind>,
    /// Names and hashes of the children that the model should have.
    pub wanted: Arc<Wanted>,
}

/// What the cluster holds of one model, for a look in passing.
#[derive(Debug)]
pub struct View<'a> {
    /// Namespace and name.
    pub key: &'a ModelKey,
    /// The model.
    pub model: &'a InferenceModel,
    /// The state of the Deployment of the workers, if it is there.
    pub deployment: Option<&'a Rollout>,
    /// What the model's worker pods say.
    pub pods: Vec<&'a PodReport>,
}

/// The state of a Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollout {
    /// Generation of its specification.
    pub generation: Option<i64>,
    /// Pods that it asks for, whoever decided it.
    pub replicas: Option<i32>,
    /// What its controller says.
    pub status: DeploymentStatus,
    /// The choices that it was made with.
    pub deployed: Deployed,
}

impl Observed {
    /// The choices that the Deployment was made with, if it is there.
    #[must_use]
    pub fn deployed(&self) -> Option<&Deployed> {
        self.deployment.as_ref().map(|deployment| &deployment.deployed)
    }
}

impl Rollout {
    /// Reads it from an object as the API server sends it.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
        let replicas = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
        Self {
            generation: object.metadata.generation,
            replicas: replicas.and_then(|replicas| i32::try_from(replicas).ok()),
            status: status.unwrap_or_default(),
            deployed: Deployed::of(object),
        }
    }
}
