//! `spec.observability.alerts`, with defaults applied.

use crate::model::ValidAlerts;
use crate::monitoring::alert::AlertRules;
use crate::monitoring::alerts;
use crate::problem::Problem;
use belfry_crds::inference_model::Alerts;

pub(super) fn valid_alerts(spec: Option<&Alerts>) -> Result<ValidAlerts, Vec<Problem>> {
    let spec = spec.cloned().unwrap_or_default();
    let problems: Vec<_> = spec.overrides.iter().enumerate().filter_map(|(i, one)| unknown(i, &one.alert)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let overrides = spec.overrides.into_iter().map(|one| (one.alert.clone(), one)).collect();
    Ok(ValidAlerts { profile: spec.profile.unwrap_or_default(), overrides })
}

/// The problem with an override that names no alert about models: it would have no effect.
fn unknown(index: usize, name: &str) -> Option<Problem> {
    let message = match alerts().iter().find(|alert| alert.name == name).map(|alert| &alert.rules) {
        Some(AlertRules::Model(..)) => return None,
        Some(AlertRules::Operator(_) | AlertRules::Always(_)) => {
            format!("{name} is about the installation, not about a model: silence it in Alertmanager")
        }
        None => {
            let of_models = alerts().iter().filter(|alert| matches!(alert.rules, AlertRules::Model(..)));
            let nearest = of_models.min_by_key(|alert| strsim::levenshtein(alert.name, name));
            let nearest = nearest.map(|alert| alert.name).unwrap_or_default();
            format!("there is no alert {name}: the nearest is {nearest}, and docs/runbooks lists all")
        }
    };
    Some(Problem::new(&format!("spec.observability.alerts.overrides[{index}].alert"), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::inference_model::{AlertProfile, AlertSeverity};
    use serde_json::{Value, json};

    fn check(spec: Value) -> Result<ValidAlerts, String> {
        let spec: Alerts = serde_json::from_value(spec).unwrap();
        valid_alerts(Some(&spec)).map_err(|problems| problems[0].to_string())
    }

    #[test]
    fn a_name_that_no_alert_has_is_refused_with_the_nearest_one() {
        let error = check(json!({"overrides": [{"alert": "InferenceModelUp"}]})).unwrap_err();
        assert!(error.contains("spec.observability.alerts.overrides[0].alert"), "{error}");
        assert!(error.contains("the nearest is InferenceModelDown"), "{error}");
    }

    #[test]
    fn an_alert_about_the_operator_is_no_models_to_change() {
        let error = check(json!({"overrides": [{"alert": "InferenceOperatorDown", "enabled": false}]})).unwrap_err();
        assert!(error.contains("is about the installation"), "{error}");
    }

    #[test]
    fn an_exception_has_the_last_word() {
        let alerts = check(json!({"profile": "Minimal", "overrides": [
            {"alert": "InferenceModelDown", "enabled": false},
            {"alert": "InferenceQueueSaturated", "enabled": true, "for": "0s", "severity": "info"},
        ]}));
        let alerts = alerts.unwrap();
        assert!(!alerts.has("InferenceModelDown", AlertProfile::Minimal));
        assert!(alerts.has("InferenceModelOutage", AlertProfile::Minimal));
        assert!(!alerts.has("InferenceRolloutStuck", AlertProfile::Standard));
        assert!(alerts.has("InferenceQueueSaturated", AlertProfile::Standard));
        assert_eq!(alerts.duration("InferenceQueueSaturated"), Some("0s"));
        assert_eq!(alerts.severity("InferenceQueueSaturated"), Some(AlertSeverity::Info));
        assert_eq!((alerts.duration("InferenceModelOutage"), alerts.severity("InferenceModelOutage")), (None, None));
    }
}
