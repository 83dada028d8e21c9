//! Models wait for their pass.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::promql::{Level, SeriesOf, by};
use crate::monitoring::runbook::{Runbook, cause};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceOperatorQueueStuck",
    category: Category::Saturation,
    component: AlertComponent::Operator,
    impact: "Changes to models arrive late or not at all; models go on serving as they are.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// The rule reads the age of the queue's head and not its depth: a thousand new models at once are no fault while the queue
/// moves.
fn rules() -> Vec<Firing> {
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("max({}) > 60", SeriesOf::job(OPERATOR_JOB).gauge(&metrics::RECONCILE_AGE)),
        for_: Some("5m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "Belfry's operator: a model has waited {{ $value | humanize }}s for its pass".into(),
        description: Some("For 5 minutes, some model has always waited longer than a minute for its pass, now {{ $value | humanize }}s. The \
            operator has more to do than it can, or its passes hang.".into()),
    }]
}

fn runbook() -> Runbook {
    let series = SeriesOf::job(OPERATOR_JOB);
    let quantile = by("sum", &["verb", "le"], series.buckets(&metrics::API_REQUEST_DURATION).rate("5m"));
    Runbook {
        meaning: "The model at the head of the queue has waited for more than a minute. A pass that hangs is stopped after a minute; \
            if such passes take every place, the queue looks the same."
            .into(),
        diagnosis: vec![
            operator::query(
                "Are all places taken? 1 means that no pass can begin",
                format!("max({}) / max({})", series.gauge(&metrics::RECONCILES_RUNNING), series.gauge(&metrics::RECONCILE_CAPACITY)),
            ),
            operator::query("How many models wait?", format!("max({})", series.gauge(&metrics::RECONCILE_BACKLOG))),
            operator::query("How long does the API server take, by verb?", format!("histogram_quantile(0.99, {quantile})")),
            operator::query("How many passes end, and how?", by("sum", &["outcome"], series.counter(&metrics::RECONCILES).rate("5m"))),
            operator::kubectl("What does it say?", "logs", "--prefix --tail=100"),
        ],
        mitigation: vec![
            cause("Places are taken and the API server is slow.", "Look at the API server; a FlowSchema may hold the operator back (429)."),
            cause("Places are taken and passes end as `failed`.", "Go on with [InferenceOperatorReconcileErrors](InferenceOperatorReconcileErrors.md)."),
            cause("Places are free and models wait.", "The operator is throttled: raise its CPU limit. If it has none, restart it and report it with its log."),
            cause("Thousands of models changed at once.", "Wait: the number of passes in a second says how long."),
        ],
        resolves: "Two minutes after the longest wait is less than a minute.".into(),
    }
}

fn age() -> Level {
    SeriesOf::job(OPERATOR_JOB).gauge(&metrics::RECONCILE_AGE)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let waited = |seconds: &str| {
        expected(&[], &format!("Belfry's operator: a model has waited {seconds}s for its pass")).described(&format!(
                "For 5 minutes, some model has always waited longer than a minute for its pass, now {seconds}s. The operator has more to do \
                 than it can, or its passes hang."
            ))
    };
    vec![
        Case::new("fires when the head of the queue waits, and resolves two minutes after it is taken")
            .with(age(), format!("{} {}", grow(&[(15, 41)]), hold(&[("0", 20)])))
            .quiet("6m")
            .fires("6m15s", &[waited("375")])
            .fires("10m", &[waited("600")])
            .quiet("12m15s"),
        Case::new("stays quiet while a thousand new models are worked off in three minutes")
            .with(age(), hold(&[("20", 4), ("90", 12), ("30", 4), ("0", 40)]))
            .quiet("4m")
            .quiet("9m"),
        Case::new("stays quiet when nothing waits").with(age(), hold(&[("0", 60)])).quiet("14m"),
    ]
}
