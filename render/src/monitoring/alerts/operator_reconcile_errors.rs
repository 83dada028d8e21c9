//! Passes over models fail again and again.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, grow, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::promql::{SeriesOf, Total, by};
use crate::monitoring::runbook::{Runbook, cause, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceOperatorReconcileErrors",
    category: Category::Lifecycle,
    component: AlertComponent::Operator,
    impact: "Changes to some models do not arrive; models go on serving as they are.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Operator(rules),
    runbook,
    cases,
};

/// A single failure stays in the window for ten minutes, which is less than `for`. `InferenceModelStuck` covers one model
/// among many that always fails. A refused specification is for its owner to correct: its outcome is `invalid`, and a
/// condition reports it.
fn rules() -> Vec<Firing> {
    let passes = SeriesOf::job(OPERATOR_JOB).counter(&metrics::RECONCILES);
    let failed = passes.clone().eq("outcome", "failed");
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("sum({}) / sum({}) > 0.05", failed.increase("10m"), passes.increase("10m")),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's operator: {{ $value | humanizePercentage }} of its passes over models failed in 10 minutes"
            .into(),
        description: Some(
            "More than 5% of the passes of the operator have been failing for 15 minutes, \
            {{ $value | humanizePercentage }} in the last 10. Its log names the models and the error."
                .into(),
        ),
    }]
}

fn runbook() -> Runbook {
    let series = SeriesOf::job(OPERATOR_JOB);
    let failed = series.counter(&metrics::API_WRITES).eq("result", "error").rate("10m");
    let answers = series.counter(&metrics::API_REQUESTS).matching("code", "429|5..|error|timeout").rate("10m");
    Runbook {
        meaning: "The operator could not finish passes over models, and tries again with growing pauses. Specifications that it refuses, and \
            children that the API server refuses, are not counted: conditions report them."
            .into(),
        diagnosis: vec![
            operator::kubectl("Which models, and which error?", "logs", "--prefix --tail=200"),
            operator::query("What does the API server answer?", by("sum", &["verb", "resource", "code"], answers)),
            operator::query("Which kind of object can't be written?", by("sum", &["kind"], failed)),
            shell("Which models are not as they should be?", "kubectl get inferencemodels -A -o wide"),
        ],
        mitigation: vec![
            cause("Time-outs, `429` or `5xx`.", "The API server is overloaded or gone; other controllers show it too."),
            cause("`the pass panicked`.", "A fault of the operator: the log names the place in the code. Keep the InferenceModel and report it; other models are not touched."),
            cause("`the pass took longer`.", "Requests hang: look at the network between the operator and the API server, then restart the operator."),
            cause("`conflict`, again and again.", "Another controller writes the same object at the same time: `kubectl get -o yaml --show-managed-fields` names it."),
        ],
        resolves: "When fewer than 5 % of the passes of ten minutes have failed.".into(),
    }
}

fn passes(outcome: &str) -> Total {
    SeriesOf::job(OPERATOR_JOB).counter(&metrics::RECONCILES).eq("outcome", outcome)
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let fires = |share: &str| {
        expected(&[], &format!("Belfry's operator: {share} of its passes over models failed in 10 minutes")).described(&format!(
                "More than 5% of the passes of the operator have been failing for 15 minutes, {share} in the last 10. Its log names the \
                 models and the error."
            ))
    };
    vec![
        Case::new("fires when passes go on failing, and resolves ten minutes after the last failure")
            .with(passes("failed"), grow(&[(0, 20), (1, 80), (0, 60)]))
            .with(passes("unchanged"), grow(&[(3, 160)]))
            .quiet("20m")
            .fires("22m", &[fires("25%")])
            .fires("25m", &[fires("25%")])
            .quiet("35m15s"),
        Case::new("fires when the only model fails with the longest pauses")
            .with(passes("failed"), hold(&[("1", 22), ("2", 22), ("3", 22), ("4", 22), ("5", 22)]))
            .fires("26m", &[fires("100%")]),
        Case::new("stays quiet on a single conflict")
            .with(passes("failed"), hold(&[("0", 20), ("1", 100)]))
            .with(passes("unchanged"), hold(&[("9", 120)]))
            .quiet("14m")
            .quiet("25m"),
        Case::new("stays quiet while one model of many fails, which is InferenceModelStuck")
            .with(passes("failed"), grow(&[(1, 120)]))
            .with(passes("unchanged"), grow(&[(30, 120)]))
            .quiet("20m")
            .quiet("29m"),
        Case::new("stays quiet on specifications and objects that are refused")
            .with(passes("invalid"), grow(&[(1, 120)]))
            .with(passes("refused"), grow(&[(1, 120)]))
            .quiet("20m")
            .quiet("29m"),
        Case::new("stays quiet when the operator restarts and its counters begin anew")
            .with(passes("failed"), hold(&[("7", 20), ("0", 100)]))
            .with(passes("unchanged"), hold(&[("7", 20), ("0", 100)]))
            .quiet("10m")
            .quiet("25m"),
    ]
}
