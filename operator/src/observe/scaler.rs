//! What a scaler says about itself.

use belfry_crds::condition::Reason;
use kube::core::DynamicObject;
use serde::Deserialize;

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
    fn a_scaler_without_a_status_is_not_observed() {
        assert_eq!(report(&json!([])), ScalerReport::default());
    }
}
