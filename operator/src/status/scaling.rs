//! The condition ScalingReady, which only a model with a scaler has.

use belfry_crds::condition::{ConditionStatus, Reason};
use belfry_crds::{InferenceModel, InferenceModelStatus};

use super::Verdict;
use super::refusal::reason;
use crate::apply::{Refusal, RefusalCause};
use crate::observe::{DeploymentState, ForeignScaler, ScaleTarget, ScalerReport};
use crate::scaling::MetricsAvailability;
use belfry_render::model::{Scaler, ValidModel};

/// What is known of the scaler of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalingFacts {
    /// What the scaler says about itself; `None` before it is there.
    pub scaler: Option<ScalerReport>,
    /// Scalers that others made for its workers.
    pub foreign: Vec<ForeignScaler>,
    /// The specification names a number of replicas, so that the scale subresource can be read.
    pub names_replicas: bool,
    /// Whether the operator has the metrics that a HorizontalPodAutoscaler asks it for.
    pub metrics: MetricsAvailability,
}

/// The number of workers that the specification or the scaler asks for.
pub(super) fn wanted(model: &ValidModel, deployment: Option<&DeploymentState>) -> i32 {
    let scaled = || deployment.and_then(|deployment| deployment.replicas);
    model.owned_replicas().or_else(scaled).unwrap_or(model.replicas)
}

/// What a scaler asked for last. It outlives a suspension, and the scaler until the specification asks for another number.
pub(super) fn scaled_replicas(
    model: &ValidModel,
    deployment: Option<&DeploymentState>,
    kept: Option<i32>,
) -> Option<i32> {
    if model.autoscaling.is_some() || model.is_scaled_by_others {
        return deployment.and_then(|deployment| deployment.replicas).or(kept);
    }
    kept.filter(|kept| model.is_suspended || *kept == model.replicas)
}

/// The status of a model whose scaler was just removed, when it does not hold yet the number that the scaler left behind.
/// It has to be written before a child is built from it. `None` when there is nothing to take over.
#[must_use]
pub fn left_behind(
    model: &InferenceModel,
    has_scaler: bool,
    deployment: Option<&DeploymentState>,
) -> Option<InferenceModelStatus> {
    let is_removed = has_scaler && model.spec.autoscaling.is_none() && model.spec.replicas.is_none();
    let replicas = deployment.and_then(|deployment| deployment.replicas).filter(|_| is_removed)?;
    let status = model.status.clone().unwrap_or_default();
    (status.scaled_replicas != Some(replicas))
        .then_some(InferenceModelStatus { scaled_replicas: Some(replicas), ..status })
}

/// The scaler of others that decides how many workers there are.
pub(super) fn scaled_by(foreign: &[ForeignScaler]) -> Option<String> {
    let mut deciding = foreign.iter().filter(|scaler| scaler.target == ScaleTarget::Deployment);
    deciding.next().map(|scaler| scaler.name.clone())
}

/// The status of a model for which a scaler of others came or went, when it does not say so yet. It has to be written before
/// a child is built from it: the number of workers is left to one owner.
#[must_use]
pub fn released(
    model: &InferenceModel,
    foreign: &[ForeignScaler],
    deployment: Option<&DeploymentState>,
) -> Option<InferenceModelStatus> {
    let status = model.status.clone().unwrap_or_default();
    let scaled_by = scaled_by(foreign);
    if status.scaled_by == scaled_by {
        return None;
    }
    let live = deployment.and_then(|deployment| deployment.replicas).filter(|_| scaled_by.is_some());
    Some(InferenceModelStatus { scaled_by, scaled_replicas: live.or(status.scaled_replicas), ..status })
}

/// What is wrong about a scaler of others.
fn foreign(model: &ValidModel, facts: &ScalingFacts) -> Option<Verdict> {
    let said = |scaler: &ForeignScaler| {
        let name = &scaler.name;
        let (reason, message) = match (scaler.target, model.autoscaling.is_some()) {
            (_, true) => (
                Reason::ForeignScaler,
                format!("HorizontalPodAutoscaler {name} scales the model too: delete it, or remove spec.autoscaling"),
            ),
            (ScaleTarget::Deployment, false) => (
                Reason::ForeignScaler,
                format!(
                    "HorizontalPodAutoscaler {name} scales the Deployment and decides its replicas; spec.replicas is not \
                     applied meanwhile: let it scale the InferenceModel, or use spec.autoscaling in its place"
                ),
            ),
            (ScaleTarget::Model, false) if !facts.names_replicas => (
                Reason::ScalerFailed,
                format!(
                    "HorizontalPodAutoscaler {name} can't read the number of replicas: set spec.replicas, which it then writes"
                ),
            ),
            (ScaleTarget::Model, false) => return None,
        };
        Some(Verdict { status: ConditionStatus::False, reason, message })
    };
    facts.foreign.iter().find_map(said)
}

/// The condition of a model with a scaler.
pub(super) fn scaling_ready(model: &ValidModel, facts: &ScalingFacts, refused: &[Refusal]) -> Option<Verdict> {
    if let Some(verdict) = foreign(model, facts) {
        return Some(verdict);
    }
    let scaling = model.autoscaling.as_ref()?;
    let verdict = |status, reason, message: String| Some(Verdict { status, reason, message });
    if let Some(refusal) = refused.iter().find(|refusal| refusal.role.is_scaler()) {
        let (reason, message) = refusal_text(refusal);
        return verdict(ConditionStatus::False, reason, message);
    }
    if scaling.scaler == Scaler::Hpa {
        match &facts.metrics {
            MetricsAvailability::Unavailable(why) => {
                return verdict(ConditionStatus::False, Reason::ExternalMetricsUnavailable, why.clone());
            }
            MetricsAvailability::Missing => {
                let at_least = scaling.fallback_replicas.unwrap_or(scaling.min_replicas);
                let message =
                    format!("the workers don't answer on their metrics; there are at least {at_least} of them");
                return verdict(ConditionStatus::False, Reason::MetricsMissing, message);
            }
            MetricsAvailability::Served => {}
        }
    }
    let report = facts.scaler.clone().unwrap_or_default();
    if let Some((reason, message)) = report.obstacle {
        return verdict(ConditionStatus::False, reason, message);
    }
    if !report.is_observed {
        return verdict(ConditionStatus::Unknown, Reason::Pending, "the scaler has not looked at the model yet".into());
    }
    let bounds = format!("between {} and {} replicas", scaling.min_replicas, scaling.max_replicas);
    verdict(ConditionStatus::True, Reason::ScalerActive, bounds)
}

fn refusal_text(refusal: &Refusal) -> (Reason, String) {
    let (kind, name) = (refusal.role.kind().as_str(), &refusal.name);
    match &refusal.cause {
        RefusalCause::KindMissing => (
            Reason::CustomResourceDefinitionMissing,
            format!("the cluster does not know {kind}: install KEDA, or set spec.autoscaling.provider: HPA"),
        ),
        RefusalCause::NameConflict => (
            Reason::ForeignScaler,
            format!("{kind} {name} exists and is not this model's: delete it, or remove spec.autoscaling"),
        ),
        RefusalCause::Api { message, .. } => {
            (reason(&refusal.cause), format!("the API server refused {kind} {name}: {message}"))
        }
    }
}
