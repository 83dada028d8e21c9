//! The Deployment of the workers.
//!
//! The pod template of a released revision never changes, because a changed template restarts every
//! model (invariant 4). `tests/invariants.rs` holds its hash. A better template needs a new
//! [`template::TemplateRevision`]; what differs between revisions is decided where it is rendered.

mod arguments;
mod confinement;
mod container;
mod engine;
mod placement;
mod pod;
mod quality;
mod source;
mod traces;
mod variable;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{Component, object_meta, selector};
use crate::model::{Replace, ValidModel};
use crate::template;

/// Old ReplicaSets to keep for `kubectl rollout undo`.
const REVISION_HISTORY: i32 = 3;

/// The Deployment of a model.
#[must_use]
pub fn deployment(model: &ValidModel) -> Deployment {
    let (rollout, runtime) = (&model.rollout, &model.runtime);
    let annotations = template::annotations(runtime.template_revision, &runtime.default_image);
    Deployment {
        metadata: ObjectMeta { annotations: Some(annotations), ..object_meta(model, Component::Worker) },
        spec: Some(DeploymentSpec {
            replicas: model.owned_replicas(),
            selector: selector(model),
            strategy: Some(strategy(rollout.replace)),
            min_ready_seconds: (rollout.min_ready_seconds > 0).then_some(rollout.min_ready_seconds),
            progress_deadline_seconds: Some(rollout.progress_deadline_seconds),
            paused: rollout.is_paused.then_some(true),
            revision_history_limit: Some(REVISION_HISTORY),
            template: pod::template(model),
        }),
        ..Default::default()
    }
}

fn strategy(replace: Replace) -> DeploymentStrategy {
    match replace {
        Replace::AtOnce => DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None },
        Replace::Gradually { surge, unavailable } => DeploymentStrategy {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(surge)),
                max_unavailable: Some(IntOrString::Int(unavailable)),
            }),
        },
    }
}
