//! Too many requests take long. Every model has this alert; where it has an objective of latency, the budget decides whether
//! it rings, and this alert is a note beside it.

use belfry_crds::contract::{metrics, threshold_seconds};
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::{Objective, ValidIndicator, ValidModel};
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::{self, LEAST_ERRORS};
use crate::monitoring::overload;
use crate::monitoring::promql::{SeriesOf, Total};
use crate::monitoring::runbook::Runbook;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceHighLatency",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "A part of the callers of this model waits for seconds.",
    severities: &[AlertSeverity::Warning, AlertSeverity::Info],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// Share of slow requests above which the alert fires.
const SHARE: f64 = 0.05;

fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let slow = slow(model);
    let ValidIndicator::Latency { threshold, .. } = &slow.indicator else { return vec![] };
    let share = format!(
        "({}) / ({})",
        objective::errors(&series, model, &slow, Total::rate, "10m"),
        objective::total(&series, model, &slow, Total::rate, "10m")
    );
    let number = objective::errors(&series, model, &slow, Total::increase, "10m");
    let has_objective = model.monitoring.objectives.iter().any(|own| own.indicator != ValidIndicator::Availability);
    vec![Firing {
        severity: if has_objective { AlertSeverity::Info } else { AlertSeverity::Warning },
        expr: format!("{share} > {SHARE} and ({number}) >= {LEAST_ERRORS}"),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: {{{{ $value | humanizePercentage }}}} of requests take longer than {threshold}"
        ),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the requests to {{{{ $labels.namespace }}}}/{{{{ $labels.model }}}} took longer than \
             {threshold} within the last 10 minutes, and it has been more than 5% for 5 minutes."
        ),
    }]
}

/// Requests that took longer than five seconds; for an engine without that bound, longer than its next one.
fn slow(model: &ValidModel) -> Objective {
    let own = model.engine.as_ref().map(|engine| {
        let total = engine.mappings.iter().filter(|mapping| {
            mapping.ours.name == metrics::REQUEST_DURATION.name
                && mapping.labels.get("phase").is_some_and(|phase| phase == "total")
        });
        total.flat_map(|mapping| mapping.thresholds.iter().cloned()).collect::<Vec<_>>()
    });
    let bounds = own.unwrap_or_else(|| vec!["5s".to_owned()]);
    let seconds = |threshold: &String| threshold_seconds(threshold).unwrap_or_default();
    let threshold =
        bounds.into_iter().filter(|bound| seconds(bound) >= 5.0).min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    // Without a bound the rule reads one that the engine does not have, and is left out.
    let threshold = threshold.unwrap_or_else(|| "5s".to_owned());
    let seconds = seconds(&threshold);
    Objective {
        name: String::new(),
        percent: String::new(),
        ratio: 0.0,
        indicator: ValidIndicator::Latency { threshold, seconds },
    }
}

fn runbook() -> Runbook {
    Runbook {
        meaning: format!(
            "More than 5 % of the requests of the last ten minutes, and at least {LEAST_ERRORS}, took longer than 5 s, or were given up by their \
             callers after as long. An engine without that bound is measured by its next one. A model with an objective of latency \
             rings by its budget (InferenceLatencyBudgetBurn), and this alert is a note. Many texts in one request take long by \
             themselves: that is no fault."
        ),
        diagnosis: overload::diagnosis(),
        mitigation: overload::cures(),
        resolves: "Two minutes after fewer than 5 % of the last ten minutes' requests took so long.".into(),
    }
}

fn late(share: &str) -> Expected {
    expected(
        &[],
        &format!("search/minilm: {share} of requests take longer than 5s"),
        &format!(
            "{share} of the requests to search/minilm took longer than 5s within the last 10 minutes, and it has been more than 5% for 5 minutes."
        ),
    )
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let story = |name: &'static str, served: String, fast: String| {
        Case::new(name)
            .with(series.count(&metrics::REQUEST_DURATION).eq("phase", "total").eq("pod", POD_A), served)
            .with(
                series.buckets(&metrics::REQUEST_DURATION).eq("phase", "total").eq("pod", POD_A).eq("le", "5.0"),
                fast,
            )
    };
    vec![
        story(
            "fires when a tenth is slow, and resolves",
            grow(&[(150, 160)]),
            grow(&[(150, 20), (135, 60), (150, 80)]),
        )
        .quiet("9m")
        .fires("20m", &[late("10%")])
        .quiet("39m"),
        Case::new("fires where the bound is stored as `5`")
            .with(series.count(&metrics::REQUEST_DURATION).eq("phase", "total").eq("pod", POD_A), grow(&[(150, 80)]))
            .with(
                series.buckets(&metrics::REQUEST_DURATION).eq("phase", "total").eq("pod", POD_A).eq("le", "5"),
                grow(&[(135, 80)]),
            )
            .fires("15m", &[late("10%")]),
        story("stays quiet when few are slow", grow(&[(150, 80)]), grow(&[(147, 80)])).quiet("10m").quiet("19m"),
        story(
            "stays quiet when four requests of a quiet model are slow",
            hold(&[("0", 20), ("4", 60)]),
            hold(&[("0", 80)]),
        )
        .quiet("10m")
        .quiet("15m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
    ]
}
