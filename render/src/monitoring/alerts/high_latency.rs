//! Too many requests take long. Every model has this alert; where it has an objective of latency, the budget decides whether
//! it rings, and this alert is a note beside it.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::{ValidIndicator, ValidModel};
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example::POD_A;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective::{self, LEAST_ERRORS, TIMES};
use crate::monitoring::overload;
use crate::monitoring::promql::{Record, SeriesOf};
use crate::monitoring::runbook::Runbook;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceHighLatency",
    category: Category::Saturation,
    component: AlertComponent::Worker,
    impact: "Some callers wait for seconds.",
    severities: &[AlertSeverity::Warning, AlertSeverity::Info],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// Share of slow requests above which the alert fires.
const SHARE: f64 = 0.05;

fn rules(model: &ValidModel) -> Vec<Firing> {
    let Some((threshold, _)) = objective::slow_from(model) else { return vec![] };
    let series = SeriesOf::model(model);
    let (timed, slow) = (series.traffic(&Record::Timed(TIMES)), series.traffic(&Record::Slow(TIMES)));
    let has_objective = model.monitoring.objectives.iter().any(|own| own.indicator != ValidIndicator::Availability);
    vec![Firing {
        severity: if has_objective { AlertSeverity::Info } else { AlertSeverity::Warning },
        expr: format!("{slow} / {timed} > {SHARE} and {slow} >= {LEAST_ERRORS}"),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: {{{{ $value | humanizePercentage }}}} of requests take longer than {threshold}"
        ),
        description: None,
    }]
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
    expected(&[], &format!("search/minilm: {share} of requests take longer than 5s"))
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
