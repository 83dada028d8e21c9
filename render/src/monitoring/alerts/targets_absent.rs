//! A model serves and Prometheus gets an answer from none of its pods, so no other alert about its requests can fire.

use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::{self, POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};
use crate::monitoring::series::replicas;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceTargetsAbsent",
    category: Category::Telemetry,
    component: AlertComponent::Scrape,
    impact: "Callers may be served, but an outage or slow answers would go unnoticed.",
    severities: &[AlertSeverity::Critical],
    rules: AlertRules::Model(AlertProfile::Minimal, rules),
    runbook,
    cases,
};

/// The rule reads `ready` and not `desired`: pods that do not exist, or have no address yet, are no fault of the scrape.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let ready = all("max", replicas(&series, "ready"));
    vec![Firing {
        severity: AlertSeverity::Critical,
        expr: format!(
            "{ready} > 0 and on () (absent({}) or {} == 0)",
            series.up(),
            all("max", series.up())
        ),
        for_: Some("3m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: Prometheus scrapes none of {{ $value | humanize }} ready replicas".into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The operator sees ready replicas, and Prometheus has no target with the labels of this model, or none that answers. \
            Either nothing selects the ServiceMonitor, or what it selects is gone, or Prometheus can't reach the pods."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("Is the ServiceMonitor there, and with which labels?", runbook::kubectl("get servicemonitor", "--show-labels")),
            shell(
                "Which labels does Prometheus select?",
                r#"kubectl get prometheus -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name}: {.spec.serviceMonitorSelector} in {.spec.serviceMonitorNamespaceSelector}{"\n"}{end}'"#,
            ),
            shell("Does the Service have endpoints on the port that the ServiceMonitor names?", runbook::kubectl("get endpointslices", "-o yaml")),
            query("What did Prometheus see, and until when?", |series| series.up().over_time("last", "1h")),
        ],
        mitigation: vec![
            cause("The ServiceMonitor lacks a label that Prometheus selects.", "Add it to `spec.observability.monitor.labels`, such as `release: kube-prometheus-stack`."),
            cause("Prometheus does not look into the namespace.", "Widen its `serviceMonitorNamespaceSelector`, or label the namespace."),
            cause("There is no ServiceMonitor.", "`MonitoringReady` says why: the kinds of the Prometheus Operator are missing, or the API server refused the object."),
            cause("Targets are there and `up` is 0.", "A NetworkPolicy keeps Prometheus out, or its way to the pods is cut: name its namespace in `spec.network.networkPolicy.prometheusNamespace`."),
            cause("Something else relabels or drops the target.", "Look at Prometheus' page of dropped targets for this model's pods."),
        ],
        resolves: "As soon as Prometheus has a target of the model again, or none of its replicas is ready.".into(),
    }
}

/// A target that is there for five minutes, gone for fifteen, and there again.
fn lost_and_found() -> String {
    hold(&[("1", 20), ("stale", 1), ("_", 59), ("1", 20)])
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, ready: &[(&str, u32)]| {
        Case::new(name).with(example::replicas(model, "ready"), hold(ready))
    };
    let absent = expected(&[], "search/minilm: Prometheus scrapes none of 2 ready replicas");
    vec![
        story(
            "fires 3 minutes after the last target of a serving model is lost, and resolves with the first",
            &[("2", 100)],
        )
        .with(example::up(model, POD_A), lost_and_found())
        .with(example::up(model, POD_B), lost_and_found())
        .quiet("7m45s")
        .fires("8m", std::slice::from_ref(&absent))
        .fires("19m45s", std::slice::from_ref(&absent))
        .quiet("20m"),
        story("stays quiet when the model is scaled to zero", &[("2", 22), ("0", 78)])
            .with(example::up(model, POD_A), lost_and_found())
            .quiet("8m")
            .quiet("15m"),
        story("stays quiet when no replica is ready, which is InferenceModelDown", &[("0", 60)])
            .with(example::replicas(model, "desired"), hold(&[("2", 60)]))
            .quiet("5m")
            .quiet("14m"),
        story("stays quiet in a rolling update", &[("2", 80)])
            .with(example::up(model, POD_A), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .with(example::up(model, POD_B), hold(&[("_", 18), ("0", 2), ("1", 60)]))
            .quiet("8m")
            .quiet("15m"),
        story("fires when targets are there and none of them answers", &[("2", 60)])
            .with(example::up(model, POD_A), hold(&[("0", 60)]))
            .with(example::up(model, POD_B), hold(&[("1", 20), ("0", 40)]))
            .quiet("7m45s")
            .fires("8m", std::slice::from_ref(&absent)),
        story("stays quiet when one target of two answers, which is InferenceWorkerDown", &[("2", 60)])
            .with(example::up(model, POD_A), hold(&[("0", 60)]))
            .with(example::up(model, POD_B), hold(&[("1", 60)]))
            .quiet("10m"),
    ]
}
