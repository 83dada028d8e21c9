//! The table of alerts and the objectives → groups of rules.
//!
//! A model's rules need no rules but their own: neither those of the chart, nor those of another object. So they ring wherever
//! they are loaded, also in the Prometheus of one namespace, and no alert waits for a record of another group.

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
    // Rules of one group are evaluated in order, so each reads values that were just recorded.
    let rules = [model_alerts(model, |alert| alert.category != Category::Objective), objectives(model)].concat();
    let rules = objective::traffic(model)
        .into_iter()
        .rev()
        .fold(rules, |rules, record| if is_read(&record, &rules) { [vec![record], rules].concat() } else { rules });
    groups.extend((!rules.is_empty()).then(|| group("rules", rules)));
    PrometheusRuleSpec { groups }
}

fn is_read(record: &Rule, rules: &[Rule]) -> bool {
    let name = format!("{}{{", record.record.as_deref().unwrap_or_default());
    rules.iter().any(|rule| rule.expr.contains(&name))
}

fn objectives(model: &ValidModel) -> Vec<Rule> {
    let objectives = model.monitoring.objectives.iter();
    let records: Vec<_> = objectives.flat_map(|objective| objective::records(model, objective)).collect();
    if records.is_empty() {
        return records;
    }
    [records, model_alerts(model, |alert| alert.category == Category::Objective)].concat()
}

pub(super) fn of_operator() -> PrometheusRuleSpec {
    of_chart("inference.operator", Alert::of_operator)
}

pub(super) fn of_watchdog() -> PrometheusRuleSpec {
    of_chart("inference.watchdog", Alert::of_watchdog)
}

fn of_chart(group: &str, rules: fn(&Alert) -> Vec<Rule>) -> PrometheusRuleSpec {
    let rules = alerts().iter().flat_map(rules).collect();
    PrometheusRuleSpec { groups: vec![RuleGroup { name: group.into(), interval: Some("30s".into()), rules }] }
}

/// Leaves out alerts on series that the model's engine does not have: they could never fire, and would look as if all were
/// well.
fn model_alerts(model: &ValidModel, belongs: impl Fn(&Alert) -> bool) -> Vec<Rule> {
    let rules = alerts().iter().filter(|alert| belongs(alert)).flat_map(|alert| alert.of_model(model));
    rules.filter(|rule| model.engine.as_ref().is_none_or(|engine| engine.offers(&rule.expr))).collect()
}
