//! The workers.
//!
//! The pod template of a revision never changes once it was released: a changed template restarts
//! every model (invariant 4). `tests/golden` holds its hash. A better template is a new
//! [`TemplateRevision`].

mod container;
mod pod;
mod source;

use belfry_crds::inference_model::Device;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{Component, object_meta, selector};
use crate::template::TemplateRevision;
use crate::validate::ValidModel;

/// Seconds that a worker may take to load before the rollout counts as stuck. The start-up probe
/// gives up at the same time.
pub(crate) const START_BUDGET_SECONDS: i32 = 900;

/// Old ReplicaSets to keep for `kubectl rollout undo`.
const REVISION_HISTORY: i32 = 3;

/// The Deployment of a model.
#[must_use]
pub fn deployment(model: &ValidModel) -> Deployment {
    let template = match model.runtime.template_revision {
        TemplateRevision::V1 => pod::template(model),
    };
    Deployment {
        metadata: object_meta(model, Component::Worker),
        spec: Some(DeploymentSpec {
            replicas: Some(model.replicas),
            selector: selector(model),
            strategy: Some(strategy(model.runtime.device)),
            progress_deadline_seconds: Some(START_BUDGET_SECONDS),
            revision_history_limit: Some(REVISION_HISTORY),
            template,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// On the CPU a new worker starts beside the old ones. A GPU is often the only one of its node, and
/// the new worker would wait for ever for the one that the old holds.
fn strategy(device: Device) -> DeploymentStrategy {
    let (surge, unavailable) = match device {
        Device::Cpu => (1, 0),
        Device::Cuda => (0, 1),
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(surge)),
            max_unavailable: Some(IntOrString::Int(unavailable)),
        }),
    }
}
