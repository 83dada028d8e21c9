//! Workers have their model and it does not answer their own question. This needs no traffic.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, Expected, expected, grow, hold};
use crate::monitoring::example::{POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceProbeFailing",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "Callers get errors from the replicas that fail, although they are ready.",
    severities: &[AlertSeverity::Critical, AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    // A worker that loads or has failed to load is another alert's. One that answers its callers is not asked.
    let loaded = series.gauge(&metrics::MODEL_LOADED);
    let answers = by("sum", &["pod"], series.counter(&metrics::REQUESTS).eq("status", "200").increase("1m"));
    let failing = all(
        "count",
        format!("({} == 0 unless on (pod) {answers} > 0) and {loaded} == 1", series.gauge(&metrics::PROBE_SUCCESS)),
    );
    // A pod whose scrape is missed once still counts as one that answers.
    let loaded = all("count", format!("{} == 1", loaded.over_time("last", "1m")));
    let firing = |severity, expr, for_, number: &str| Firing {
        severity,
        expr,
        for_: Some(for_),
        keep_firing_for: Some("1m"),
        labels: vec![],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: {number} can't answer a question of its own"
        ),
        description: None,
    };
    vec![
        firing(
            AlertSeverity::Critical,
            format!("{failing} >= {loaded}"),
            "30s",
            "every replica ({{ $value | humanize }})",
        ),
        firing(AlertSeverity::Warning, format!("{failing} > 0"), "2m", "{{ $value | humanize }} replica(s)"),
    ]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "An idle worker sends one short text through its own queue, tokenizer and model every 15 seconds. That text got no answer, \
            or one that is not a number. As a page: this is so for every replica that has its model. Nothing of it depends on callers."
            .into(),
        diagnosis: vec![
            query("Which pods fail?", |series| {
                format!("{} == 0", by("max", &["pod"], series.gauge(&metrics::PROBE_SUCCESS)))
            }),
            runbook::logs(),
            query("Do requests fail, too, and why?", |series| {
                by("sum", &["pod", "reason"], series.counter(&metrics::REQUESTS).matching("status", "5..").rate("5m"))
            }),
            runbook::pods(),
        ],
        mitigation: vec![
            cause("One pod fails.", "Delete it; if its successor on the same node fails too, cordon the node."),
            cause(
                "All pods fail, and it began with a change of the InferenceModel.",
                "Apply the previous specification.",
            ),
            cause(
                "All pods fail, and nothing changed.",
                "Read the logs for the first error; a GPU that reports errors is out of order: cordon its node.",
            ),
        ],
        resolves: "A minute after the text was answered again.".into(),
    }
}

fn every(replicas: u32) -> Expected {
    failing("critical", &format!("every replica ({replicas})"))
}

fn some(replicas: u32) -> Expected {
    failing("warning", &format!("{replicas} replica(s)"))
}

fn failing(severity: &'static str, number: &str) -> Expected {
    expected(&[("severity", severity)], &format!("search/minilm: {number} can't answer a question of its own"))
}

/// Values that stay for some steps each.
type Values<'a> = &'a [(&'a str, u32)];

fn cases(model: &ValidModel) -> Vec<Case> {
    let series = SeriesOf::model(model);
    let pods = |name: &'static str, pods: [(Values<'_>, Values<'_>); 2]| {
        [POD_A, POD_B].into_iter().zip(pods).fold(Case::new(name), |case, (pod, (loaded, answered))| {
            case.with(series.gauge(&metrics::MODEL_LOADED).eq("pod", pod), hold(loaded))
                .with(series.gauge(&metrics::PROBE_SUCCESS).eq("pod", pod), hold(answered))
        })
    };
    let always: &[(&str, u32)] = &[("1", 60)];
    let fails: &[(&str, u32)] = &[("1", 20), ("0", 20), ("1", 20)];
    vec![
        pods("pages 30 seconds after every replica fails, and resolves", [(always, fails), (always, fails)])
            .quiet("5m15s")
            .fires("5m30s", &[every(2)])
            .fires("8m", &[every(2), some(2)])
            .quiet("11m"),
        pods("warns when one replica of two fails", [(always, fails), (always, always)])
            .quiet("6m45s")
            .fires("8m", &[some(1)])
            .quiet("11m"),
        pods("stays quiet while replicas load", [(&[("0", 60)], &[("0", 60)]), (&[("0", 60)], &[("0", 60)])])
            .quiet("10m"),
        pods(
            "stays quiet when one question is not answered",
            [(always, &[("1", 20), ("0", 1), ("1", 39)]), (always, always)],
        )
        .quiet("5m15s")
        .quiet("8m"),
        pods(
            "stays quiet while a worker that failed once answers its callers",
            [(always, &[("1", 20), ("0", 40)]), (always, always)],
        )
        .with(
            series
                .counter(&metrics::REQUESTS)
                .eq("pod", POD_A)
                .eq("endpoint", metrics::ENDPOINTS[0])
                .eq("status", "200")
                .eq("reason", "ok"),
            grow(&[(150, 60)]),
        )
        .quiet("10m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("10m"),
    ]
}
