//! The condition ScalingReady, which only a model with a scaler has.

use belfry_crds::condition::{ConditionStatus, Reason};
use belfry_crds::{InferenceModel, InferenceModelStatus};

use super::Verdict;
use super::refusal::reason;
use crate::apply::{Refusal, RefusalCause};
use crate::observe::{DeploymentState, ScalerReport};
use crate::scaling::MetricsAvailability;
use belfry_render::model::{Scaler, ValidModel};

/// What is known of the scaler of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalingFacts {
    /// What the scaler says about itself; `None` before it is there.
    pub scaler: Option<ScalerReport>,
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
    match model.autoscaling {
        Some(_) => deployment.and_then(|deployment| deployment.replicas).or(kept),
        None => kept.filter(|kept| model.is_suspended || *kept == model.replicas),
    }
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

/// The condition of a model with a scaler.
pub(super) fn scaling_ready(model: &ValidModel, facts: &ScalingFacts, refused: &[Refusal]) -> Option<Verdict> {
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
