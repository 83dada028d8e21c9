//! A model costs more than its owner allows.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{Level, SeriesOf, by, by_model};
use crate::monitoring::runbook::{Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceCostBudgetBurn",
    category: Category::Cost,
    component: AlertComponent::Worker,
    impact: "None for callers; the model costs more than its budget if it goes on like this.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

/// Hours of a month.
const MONTH: u32 = 730;

fn rules(model: &ValidModel) -> Vec<Firing> {
    let Some(budget) = &model.monitoring.monthly_budget else { return vec![] };
    let hourly = by_model("sum", at_places(&SeriesOf::model(model)));
    vec![Firing {
        severity: AlertSeverity::Warning,
        // The mean of six hours: an autoscaler that adds replicas for an hour is no reason. A fifth above the budget, because the
        // prices are estimates.
        expr: format!("avg_over_time({hourly}[6h:5m]) * {MONTH} > 1.2 * {budget}"),
        for_: Some("1h"),
        keep_firing_for: Some("30m"),
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: costs {{{{ $value | humanize }}}} a month at the rate of the last six hours, and its budget is {budget}"
        ),
        description: None,
    }]
}

/// Each place once, however many operators say it.
fn at_places(series: &SeriesOf) -> String {
    by("max", &["namespace", "model", "zone", "capacity_type", "gpu"], series.gauge(&metrics::MODEL_COST))
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "At the rate of the last six hours the model's pods cost a fifth more in a month of 730 hours than `spec.observability.cost.monthlyBudget` allows. \
            The operator multiplies what the pods request by the prices of the chart (`cost.prices`); pods on nodes without a price are not in it."
            .into(),
        diagnosis: vec![
            query("Where do the pods run, and what do they cost in an hour?", at_places),
            query("How many replicas are wanted?", |series| by("max", &["state"], series.gauge(&metrics::MODEL_REPLICAS))),
            query("How many tokens does each pod answer in a second?", |series| {
                by("sum", &["pod"], series.counter(&metrics::TOKENS).rate("5m"))
            }),
        ],
        mitigation: vec![
            cause("More replicas run than the load needs.", "Lower `spec.replicas`, or `spec.autoscaling.maxReplicas`."),
            cause("Pods request more than they use.", "Lower `spec.resources`."),
            cause("Pods run where capacity is dear.", "Allow spot nodes or another product of GPU in `spec.podTemplate`."),
            cause("The load is worth it.", "Raise the budget."),
        ],
        resolves: "Half an hour after the rate of six hours is back below the budget and a fifth.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let cost = |zone: &str, pod: &str| -> Level {
        SeriesOf::model(model)
            .gauge(&metrics::MODEL_COST)
            .eq("zone", zone)
            .eq("capacity_type", "spot")
            .eq("gpu", "")
            .eq("currency", "USD")
            .eq("pod", pod)
    };
    // One sample in 15 s. The budget is 100 a month, or 0.137 an hour.
    let (hour, operator, other) = (240, "belfry-operator-a", "belfry-operator-b");
    vec![
        Case::new("fires when two zones together cost more, counted once for two operators, and resolves")
            .with(cost("a", operator), hold(&[("0.1", 8 * hour), ("0.01", 8 * hour)]))
            .with(cost("a", other), hold(&[("0.1", 8 * hour), ("0.01", 8 * hour)]))
            .with(cost("b", operator), hold(&[("0.1", 8 * hour), ("0.01", 8 * hour)]))
            .quiet("50m")
            .fires(
                "7h",
                &[expected(
                    &[],
                    "search/minilm: costs 146 a month at the rate of the last six hours, and its budget is 100",
                )],
            )
            .quiet("15h"),
        Case::new("stays quiet at a tenth more than the budget")
            .with(cost("a", operator), hold(&[("0.15", 8 * hour)]))
            .quiet("7h"),
        Case::new("stays quiet when a burst of one hour costs three times the budget")
            .with(cost("a", operator), hold(&[("0.05", 7 * hour), ("0.4", hour), ("0.05", 4 * hour)]))
            .quiet("7h50m")
            .quiet("9h")
            .quiet("11h"),
        Case::new("stays quiet where nothing has a price").quiet("7h"),
    ]
}
