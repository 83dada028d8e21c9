//! Rings always. Where it falls silent, no other alert arrives either.

use belfry_crds::inference_model::AlertSeverity;

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::operator;
use crate::monitoring::runbook::{Runbook, cause, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWatchdog",
    category: Category::Telemetry,
    component: AlertComponent::Scrape,
    impact: "None while it fires. While it is silent, no alert of Belfry arrives: an outage would go unnoticed.",
    severities: &[AlertSeverity::Info],
    rules: AlertRules::Always(rules),
    runbook,
    cases,
};

fn rules() -> Vec<Firing> {
    vec![Firing {
        severity: AlertSeverity::Info,
        expr: "vector(1)".into(),
        for_: None,
        keep_firing_for: None,
        labels: vec![],
        summary: "Belfry's watchdog: alerts arrive".into(),
        description: Some(
            "This alert always fires. A service that expects it at intervals, a dead man's switch, pages when it does not come.".into(),
        ),
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "This alert always fires, and is meant for a service outside the cluster that pages when it does not come. If you are here \
            because it did not come, the way from Prometheus to that service is cut: Prometheus does not run or has not loaded the chart's \
            rules, Alertmanager does not run, or it can't reach the service."
            .into(),
        diagnosis: vec![
            shell(
                "Do Prometheus and Alertmanager run?",
                "kubectl get pods -A -l 'app.kubernetes.io/name in (prometheus, alertmanager)' -o wide",
            ),
            operator::query("Does Prometheus evaluate the rule?", r#"ALERTS{alertname="InferenceWatchdog"}"#),
            shell(
                "Is the PrometheusRule there, and with which labels?",
                "kubectl get prometheusrule -A -l app.kubernetes.io/name=belfry-operator --show-labels",
            ),
            operator::query(
                "Does Prometheus reach Alertmanager?",
                "rate(prometheus_notifications_errors_total[5m]) > 0 or prometheus_notifications_alertmanagers_discovered == 0",
            ),
            operator::query(
                "Does Alertmanager reach its receivers?",
                "rate(alertmanager_notifications_failed_total[5m]) > 0",
            ),
        ],
        mitigation: vec![
            cause("A pod does not run.", "Its events and its log say why: a full disk and too little memory are the most frequent."),
            cause("The rule is not evaluated.", "Prometheus does not select the chart's PrometheusRule: set `monitoring.labels` of the chart."),
            cause("Alertmanager fails to notify.", "Its log names the receiver and the error: an expired token, or a network that is closed to the outside."),
            cause("All of it is well.", "Alertmanager has no route for this alert, groups it with others, or repeats it less often than the service expects."),
        ],
        resolves: "Never. A rule that goes away with its chart ends it.".into(),
    }
}

fn cases(_: &ValidModel) -> Vec<Case> {
    let always = expected(&[], "Belfry's watchdog: alerts arrive").described(
        "This alert always fires. A service that expects it at intervals, a dead man's switch, pages when it does not come.",
    );
    vec![
        Case::new("fires from the first evaluation on, whatever the cluster does")
            .fires("0m", std::slice::from_ref(&always))
            .fires("1h", &[always]),
    ]
}
