//! Which alerts of a model silence which others: one fault, one page.
//!
//! What may be the cause is not silenced: that pods crash belongs into the page that says that nothing answers.

use belfry_crds::alertmanager::{InhibitRule, Matcher};

use super::{equal, one_of};
use crate::monitoring::labels::{Category, Severity};

const DOWN: &str = "InferenceModelDown";
const OUTAGE: &str = "InferenceModelOutage";

/// What has to be when no replica is ready.
const BECAUSE_DOWN: &[&str] = &[OUTAGE, "InferenceWorkerDown"];

/// The rules of a model.
pub(super) fn rules(model: &str) -> Vec<InhibitRule> {
    let consequences = [Category::Objective.as_str(), Category::Saturation.as_str()];
    let rule = |source: Matcher, target: Matcher, equal_labels: &[&str]| InhibitRule {
        source_match: vec![equal("model", model), source],
        target_match: vec![equal("model", model), target],
        equal: ["namespace", "model"].iter().chain(equal_labels).map(|&label| label.to_owned()).collect(),
    };
    vec![
        rule(equal("alertname", DOWN), one_of("alertname", BECAUSE_DOWN), &[]),
        rule(one_of("alertname", &[DOWN, OUTAGE]), one_of("category", &consequences), &[]),
        // Alerts without an objective agree in having none.
        rule(
            equal("severity", Severity::Critical.as_str()),
            one_of("severity", &[Severity::Warning.as_str(), "info"]),
            &["alertname", "slo"],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::alerts;

    #[test]
    fn every_alert_that_a_rule_names_is_in_the_catalogue() {
        for name in [DOWN, OUTAGE].iter().chain(BECAUSE_DOWN) {
            assert!(alerts().iter().any(|alert| alert.name == *name), "{name}");
        }
    }

    /// One that is source and target at once would never be silenced, and one that is silenced must not silence others
    /// that nobody tells.
    #[test]
    fn what_silences_is_no_consequence() {
        for alert in alerts().iter().filter(|alert| [DOWN, OUTAGE].contains(&alert.name)) {
            assert!(!matches!(alert.category, Category::Objective | Category::Saturation), "{}", alert.name);
        }
    }
}
