//! Failed requests spend the budget too fast.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::{ValidIndicator, ValidModel};
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::burn_rate;
use crate::monitoring::case::{Case, grow, hold};
use crate::monitoring::example;
use crate::monitoring::failing;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::objective;
use crate::monitoring::promql::{Record, SeriesOf, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceErrorBudgetBurn",
    category: Category::Objective,
    component: AlertComponent::Worker,
    impact: "More callers get a 5xx than the objective allows.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    burn_rate::firings(model, |indicator| {
        matches!(indicator, ValidIndicator::Availability).then(|| "failed".to_owned())
    })
}

fn runbook() -> Runbook {
    Runbook {
        meaning: burn_rate::meaning(),
        diagnosis: vec![
            failing::by_reason(),
            query("Since when?", |series| {
                format!(
                    "{} / {}",
                    by("sum", &["namespace", "model"], objective::failed(series).rate("5m")),
                    by("sum", &["namespace", "model"], series.counter(&metrics::REQUESTS).rate("5m"))
                )
            }),
            runbook::conditions(),
            runbook::logs(),
        ],
        mitigation: failing::causes()
            .into_iter()
            .chain([
                cause("`deadline_exceeded`.", "The model has more to do than it can: raise `spec.replicas`."),
                cause("The budget is spent.", "Make no risky changes to this model until it has recovered."),
            ])
            .collect(),
        resolves: burn_rate::resolves(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let fails = |share: &str, pairs| burn_rate::expected(["availability", "99.9%", "failed"], share, pairs);
    let ok = |name: &'static str, values: String| Case::new(name).with(example::requests(model, "200", "ok"), values);
    let failed = |case: Case, values: String| case.with(example::requests(model, "500", "inference_failed"), values);
    let burn = "InferenceErrorBudgetBurn";
    let critical = |long: &'static str| burn_rate::count(burn, "long", long, model);
    let one = Some(("{}", 1.0));
    let mut cases = vec![
        failed(ok("fires on all pairs when everything has failed from the start", grow(&[(0, 60)])), grow(&[(150, 60)])).fires("10m", &fails("100%", 0..4)),
        failed(ok("pages 60 seconds after everything begins to fail, and the fast pair resolves within ten minutes of the end", grow(&[(150, 240), (0, 8), (150, 160)])), grow(&[(0, 240), (150, 8), (0, 160)]))
            .quiet("60m30s")
            .value("60m45s", critical("1h"), None)
            .value("61m", critical("1h"), one)
            .value("67m", critical("1h"), one)
            .value("72m15s", critical("1h"), None)
            .value("98m", burn_rate::count(burn, "severity", "critical", model), None),
        failed(ok("pages within 9 minutes when a tenth fails", grow(&[(150, 240), (135, 60)])), grow(&[(0, 240), (15, 60)]))
            .value("68m", critical("1h"), None)
            .value("68m45s", critical("1h"), one),
        failed(ok("warns, and does not page, when twice the budget is spent", grow(&[(499, 160)])), grow(&[(1, 160)])).quiet("1m").fires("30m", &fails("0.2%", 3..4)),
    ];
    cases.extend([
        failed(
            ok("stays quiet when four requests of a quiet model fail", hold(&[("0", 8), ("10", 100)])),
            hold(&[("0", 8), ("1", 8), ("2", 8), ("3", 8), ("4", 76)]),
        )
        .quiet("9m")
        .quiet("20m"),
        ok("stays quiet on mistakes of the callers and on refusals", grow(&[(150, 80)]))
            .with(example::requests(model, "400", "invalid_json"), grow(&[(150, 80)]))
            .with(example::requests(model, "429", "queue_full"), grow(&[(150, 80)]))
            .quiet("10m")
            .quiet("19m"),
        ok("reads no failure yet as 0, and not as unknown", grow(&[(150, 80)]))
            .quiet("10m")
            .value("10m", burn_rate::recorded(model, Record::ErrorRatio("5m"), "availability"), Some(("{}", 0.0)))
            .value(
                "10m",
                format!("sum({})", SeriesOf::model(model).traffic(&Record::Failures("1h"))),
                Some(("{}", 0.0)),
            ),
        failed(
            ok("records no ratio without traffic, so that 0/0 spoils no average", hold(&[("4000", 80)])),
            hold(&[("12", 80)]),
        )
        .quiet("10m")
        .value("10m", burn_rate::recorded(model, Record::ErrorRatio("5m"), "availability"), None)
        .value("10m", burn_rate::recorded(model, Record::ErrorRatio("1h"), "availability"), None),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
        failed(
            ok(
                "stays quiet when workers are restarted and counters begin anew",
                format!("{} {}", grow(&[(150, 40)]), grow(&[(150, 40)])),
            ),
            hold(&[("900", 40), ("0", 40)]),
        )
        .quiet("10m30s")
        .quiet("19m"),
    ]);
    cases
}
