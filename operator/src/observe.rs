//! What exists: the models, their children and their pods.
//!
//! Everything is read from the [`Cache`], which watches fill. A pass makes no request to find out
//! that nothing changed (invariant 2). The cache keeps a few hundred bytes of each object, and not
//! the object: dashboards and rules of ten thousand models would weigh a gigabyte.

mod cache;
mod compare;
mod deployment;
mod feed;
mod few;
mod foreign_scaler;
mod key;
mod listing;
mod live_child;
mod node_labels;
mod nodes;
mod optional;
mod pauses;
mod pod;
mod prometheuses;
mod scaler;
mod selection;
mod sink;
mod stored_model;
mod texts;
mod trigger;
mod watches;
mod writes;

use std::sync::Arc;

use belfry_crds::InferenceModel;
use kube::core::DeserializeGuard;

pub use cache::{Cache, Content, Write};
pub use compare::Compare;
pub use deployment::DeploymentState;
pub use feed::{WATCH_SECONDS, WatchScope};
pub use few::Few;
pub use foreign_scaler::{ForeignScaler, ForeignScalers, ScaleTarget};
pub use key::ModelKey;
pub use live_child::LiveChild;
pub use node_labels::{Capacity, Place};
pub use nodes::Nodes;
pub use pod::{ContainerFailure, Obstacle, PodReport, PodRequests, Stage, Words, report};
pub use prometheuses::{Prometheuses, prometheus_resource};
pub use scaler::{ScalerReport, scaler_report};
pub use selection::Selection;
pub use stored_model::StoredModel;
pub use trigger::{Cause, Trigger, Triggers, Urgency};
pub use watches::{Watches, start};

use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::role::Role;

/// An `InferenceModel`, or the error of one that can't be decoded: that one must not stop the others.
pub type Guarded = DeserializeGuard<InferenceModel>;

/// What the cluster holds of one model at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The model.
    pub model: Arc<InferenceModel>,
    /// Objects that the operator manages and that belong to the model.
    pub children: Few<Role, LiveChild>,
    /// The state of the Deployment of the workers, if it is there.
    pub deployment: Option<DeploymentState>,
    /// What the scaler of the workers says, if it is there.
    pub scaler: Option<ScalerReport>,
    /// Scalers that others made for its workers.
    pub foreign_scalers: Vec<ForeignScaler>,
    /// What the model's worker pods say.
    pub pods: Vec<PodReport>,
    /// Optional kinds that the cluster does not know.
    pub missing_kinds: Vec<ChildKind>,
}

/// What the cluster holds of one model, for a look in passing.
#[derive(Debug)]
pub struct View<'a> {
    /// Namespace and name.
    pub key: &'a ModelKey,
    /// The model.
    pub model: &'a StoredModel,
    /// The state of the Deployment of the workers, if it is there.
    pub deployment: Option<&'a DeploymentState>,
    /// What the model's worker pods say.
    pub pods: Vec<&'a PodReport>,
}

impl Observed {
    /// The choices that the Deployment was made with, if it is there.
    #[must_use]
    pub fn deployed(&self) -> Option<&Deployed> {
        self.deployment.as_ref().map(|deployment| &deployment.deployed)
    }
}
