//! The condition ScalingReady, which only a model with a scaler has.

use belfry_crds::condition::{ConditionStatus, Reason};
use belfry_crds::{InferenceModel, InferenceModelStatus};
use kube::core::DynamicObject;
use serde::Deserialize;

use super::Verdict;
use super::refusal::reason;
use crate::apply::{Refusal, RefusalCause};
use crate::observe::Rollout;
use belfry_render::model::{Scaler, ValidModel};

/// What is known of the scaler of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalingFacts {
    /// What the scaler says about itself; `None` before it is there.
    pub scaler: Option<ScalerReport>,
    /// Whether the operator has the metrics that a HorizontalPodAutoscaler asks it for.
    pub metrics: MetricsSource,
}

/// Whether the operator has the metrics that a HorizontalPodAutoscaler asks it for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsSource {
    /// It serves them.
    #[default]
    Served,
    /// It serves none at all; says why.
    Unavailable(String),
    /// The workers of this model don't answer, and `spec.autoscaling.fallbackReplicas` counts.
    Missing,
}

/// What a scaler says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalerReport {
    /// Its controller has looked at it.
    pub is_observed: bool,
    /// What keeps it from scaling.
    pub obstacle: Option<(Reason, String)>,
}

#[derive(Deserialize)]
struct ScalerStatus {
    #[serde(default)]
    conditions: Vec<ScalerCondition>,
}

/// A condition of a HorizontalPodAutoscaler or of a ScaledObject.
#[derive(Deserialize)]
struct ScalerCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// Reads a HorizontalPodAutoscaler or a ScaledObject.
#[must_use]
pub fn scaler_report(object: &DynamicObject) -> ScalerReport {
    let status =
        object.data.get("status").cloned().and_then(|status| serde_json::from_value::<ScalerStatus>(status).ok());
    let conditions = status.map(|status| status.conditions).unwrap_or_default();
    ScalerReport {
        is_observed: conditions.iter().any(|c| ["ScalingActive", "AbleToScale", "Ready"].contains(&c.type_.as_str())),
        obstacle: conditions.iter().find_map(obstacle),
    }
}

fn obstacle(condition: &ScalerCondition) -> Option<(Reason, String)> {
    let message = format!("{}: {}", condition.reason, condition.message);
    let reason = match (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str()) {
        ("ScalingActive", "False", "ScalingDisabled") => Reason::ScaledToZero,
        ("ScalingActive", "False", "AmbiguousSelector") => Reason::ForeignScaler,
        ("ScalingActive", "False", reason) if reason.starts_with("FailedGet") => Reason::MetricsMissing,
        ("Fallback", "True", _) => Reason::MetricsMissing,
        ("ScalingActive" | "AbleToScale" | "Ready", "False", _) => Reason::ScalerFailed,
        _ => return None,
    };
    Some((reason, message))
}

/// The number of workers that somebody asks for: the specification, or the scaler.
pub(super) fn wanted(model: &ValidModel, deployment: Option<&Rollout>) -> i32 {
    let scaled = || deployment.and_then(|deployment| deployment.replicas);
    model.owned_replicas().or_else(scaled).unwrap_or(model.replicas)
}

/// What a scaler asked for last. It outlives a suspension, and the scaler until the specification asks for another number.
pub(super) fn scaled_replicas(model: &ValidModel, deployment: Option<&Rollout>, kept: Option<i32>) -> Option<i32> {
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
    deployment: Option<&Rollout>,
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
    if let Some(refusal) = refused.iter().find(|refusal| refusal.kind.is_scaler()) {
        let (reason, message) = refusal_text(refusal);
        return verdict(ConditionStatus::False, reason, message);
    }
    if scaling.scaler == Scaler::Hpa {
        match &facts.metrics {
            MetricsSource::Unavailable(why) => {
                return verdict(ConditionStatus::False, Reason::ExternalMetricsUnavailable, why.clone());
            }
            MetricsSource::Missing => {
                let at_least = scaling.fallback_replicas.unwrap_or(scaling.min_replicas);
                let message =
                    format!("the workers don't answer on their metrics; there are at least {at_least} of them");
                return verdict(ConditionStatus::False, Reason::MetricsMissing, message);
            }
            MetricsSource::Served => {}
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
    let (kind, name) = (refusal.kind.as_str(), &refusal.name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(conditions: &serde_json::Value) -> ScalerReport {
        let object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "m"},
            "status": {"conditions": conditions},
        });
        scaler_report(&serde_json::from_value(object).unwrap())
    }

    fn condition(type_: &str, status: &str, reason: &str) -> serde_json::Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "words"})
    }

    #[test]
    fn a_scaler_that_reads_its_metrics_has_no_obstacle() {
        let seen = report(&json!([
            condition("AbleToScale", "True", "ReadyForNewScale"),
            condition("ScalingActive", "True", "ValidMetricFound"),
            condition("ScalingLimited", "True", "TooFewReplicas"),
        ]));
        assert_eq!(seen, ScalerReport { is_observed: true, obstacle: None });
    }

    #[test]
    fn the_scalers_own_words_become_reasons() {
        for (type_, status, reason, expected) in [
            ("ScalingActive", "False", "FailedGetExternalMetric", Reason::MetricsMissing),
            ("ScalingActive", "False", "AmbiguousSelector", Reason::ForeignScaler),
            ("ScalingActive", "False", "ScalingDisabled", Reason::ScaledToZero),
            ("AbleToScale", "False", "FailedGetScale", Reason::ScalerFailed),
            ("Fallback", "True", "FallbackExists", Reason::MetricsMissing),
            ("Ready", "False", "ScaledObjectCheckFailed", Reason::ScalerFailed),
        ] {
            let obstacle = report(&json!([condition(type_, status, reason)])).obstacle;
            assert_eq!(obstacle, Some((expected, format!("{reason}: words"))), "{type_} {reason}");
        }
    }

    #[test]
    fn a_scaler_that_nobody_looked_at_is_not_observed() {
        assert_eq!(report(&json!([])), ScalerReport::default());
    }
}
