//! The table of alerts and the objectives → groups of rules.

use belfry_crds::monitoring::{PrometheusRuleSpec, Rule, RuleGroup};

use super::alert::Alert;
use super::alerts::alerts;
use super::labels::Category;
use super::{engine_records, objective};
use crate::model::ValidModel;

pub(super) fn of_model(model: &ValidModel) -> PrometheusRuleSpec {
    let interval = model.monitoring.interval.as_str();
    let group = |topic: &str, rules: Vec<Rule>| RuleGroup {
        name: format!("inference.{}.{}.{topic}", model.namespace, model.name),
        interval: Some(interval.into()),
        rules,
    };
    let mut groups = vec![];
    if let Some(engine) = &model.engine {
        let records: Vec<_> =
            engine.mappings.iter().flat_map(|mapping| engine_records::records(model, mapping)).collect();
        groups.extend((!records.is_empty()).then(|| group("engine", records)));
    }
    let alerts = model_alerts(model, |alert| alert.category != Category::Objective);
    // Rules of one group are evaluated in order, so the alerts read values that were just recorded.
    let read = |record: &Rule| {
        let name = format!("{}{{", record.record.as_deref().unwrap_or_default());
        alerts.iter().any(|alert| alert.expr.contains(&name))
    };
    let records: Vec<_> = objective::traffic(model).into_iter().filter(read).collect();
    groups.extend((!alerts.is_empty()).then(|| group("alerts", [records, alerts].concat())));
    let mut objectives: Vec<_> =
        model.monitoring.objectives.iter().flat_map(|objective| objective::records(model, objective)).collect();
    if !objectives.is_empty() {
        objectives.extend(model_alerts(model, |alert| alert.category == Category::Objective));
        groups.push(group("objectives", objectives));
    }
    PrometheusRuleSpec { groups }
}

pub(super) fn of_operator() -> PrometheusRuleSpec {
    let rules = alerts().iter().flat_map(Alert::of_operator).collect();
    PrometheusRuleSpec {
        groups: vec![RuleGroup { name: "inference.operator".into(), interval: Some("30s".into()), rules }],
    }
}

/// Leaves out alerts on series that the model's engine does not have: they could never fire, and would look as if all were
/// well.
fn model_alerts(model: &ValidModel, belongs: impl Fn(&Alert) -> bool) -> Vec<Rule> {
    let rules = alerts().iter().filter(|alert| belongs(alert)).flat_map(|alert| alert.of_model(model));
    rules.filter(|rule| model.engine.as_ref().is_none_or(|engine| engine.offers(&rule.expr))).collect()
}
