//! Prometheus does not see what it should.

use belfry_crds::contract::{self, metrics};
use belfry_crds::inference_model::AlertProfile;

use super::availability::replicas;
use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::promql::{Scope, by, by_model};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};

/// A model serves and Prometheus scrapes none of it, so that no other alert about its requests can ring.
pub(super) const TARGETS_ABSENT: Alert = Alert {
    name: "InferenceTargetsAbsent",
    category: Category::Telemetry,
    component: Component::Scrape,
    impact: "Callers may well be served, but an outage, slow answers and a full queue would go unnoticed.",
    severities: &[Severity::Critical],
    rules: Rules::Model(AlertProfile::Minimal, targets_absent),
    runbook: targets_absent_runbook,
    cases: cases::telemetry::targets_absent,
};

/// `ready`, not `desired`: pods that do not exist, or have no address yet, are no fault of the scrape.
fn targets_absent(model: &ValidModel) -> Vec<Firing> {
    let scope = Scope::model(model);
    let ready = by_model("max", replicas(&scope, "ready"));
    vec![Firing {
        severity: Severity::Critical,
        expr: format!("{ready} > 0 and on (namespace, model) absent({})", scope.up()),
        for_: Some("3m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: Prometheus scrapes none of {{ $value | humanize }} ready replicas".into(),
        description: "The model {{ $labels.namespace }}/{{ $labels.model }} has {{ $value | humanize }} ready replicas, and for 3 minutes \
            Prometheus has had no target for any of them. Alerts about its requests can't ring."
            .into(),
    }]
}

fn targets_absent_runbook() -> Runbook {
    Runbook {
        meaning: "The operator sees ready replicas, and Prometheus has no target with the labels of this model: nothing selects the \
            ServiceMonitor, or what it selects is gone. `up == 0` would not show that, because there is no `up`."
            .into(),
        diagnosis: vec![
            runbook::conditions(),
            shell("Is the ServiceMonitor there, and with which labels?", runbook::kubectl("get servicemonitor", "--show-labels")),
            shell(
                "Which labels does Prometheus select?",
                r#"kubectl get prometheus -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name}: {.spec.serviceMonitorSelector} in {.spec.serviceMonitorNamespaceSelector}{"\n"}{end}'"#,
            ),
            shell("Does the Service have endpoints on the port that the ServiceMonitor names?", runbook::kubectl("get endpointslices", "-o yaml")),
            query("What did Prometheus see, and until when?", |scope| scope.up().over_time("last", "1h")),
        ],
        mitigation: vec![
            cause("The ServiceMonitor lacks a label that Prometheus selects.", "Add it to `spec.observability.monitor.labels`, such as `release: kube-prometheus-stack`."),
            cause("Prometheus does not look into the namespace.", "Widen its `serviceMonitorNamespaceSelector`, or label the namespace."),
            cause("There is no ServiceMonitor.", "`MonitoringReady` says why: the kinds of the Prometheus Operator are missing, or the API server refused the object."),
            cause("Something else relabels or drops the target.", "Look at Prometheus' page of dropped targets for this model's pods."),
        ],
        resolves: "As soon as Prometheus has a target of the model again, or none of its replicas is ready.".into(),
    }
}

/// One replica can't be scraped.
pub(super) const WORKER_DOWN: Alert = Alert {
    name: "InferenceWorkerDown",
    category: Category::Telemetry,
    component: Component::Scrape,
    impact: "One replica answers neither Prometheus nor, most likely, its callers; the others carry its share.",
    severities: &[Severity::Warning],
    rules: Rules::Model(AlertProfile::Standard, worker_down),
    runbook: worker_down_runbook,
    cases: cases::telemetry::worker_down,
};

/// A container that waits for its image or its next start has an address and no listener. As long as
/// such pods explain every target that is down, the alerts that name the reason speak for it.
fn worker_down(model: &ValidModel) -> Vec<Firing> {
    let scope = Scope::model(model);
    let down = format!("{} == 0", scope.up());
    let waiting = by_model("sum", by("max", &["namespace", "model", "reason"], scope.gauge(&metrics::MODEL_WAITING)));
    vec![Firing {
        severity: Severity::Warning,
        expr: format!("{down} unless on (namespace, model) {waiting} >= on (namespace, model) {}", by_model("count", &down)),
        for_: Some("2m"),
        keep_firing_for: Some("2m"),
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: pod {{ $labels.pod }} can't be scraped".into(),
        description: "Prometheus has got no answer from pod {{ $labels.pod }} of {{ $labels.namespace }}/{{ $labels.model }} for 2 minutes."
            .into(),
    }]
}

fn worker_down_runbook() -> Runbook {
    Runbook {
        meaning: "A worker's pod has an address and does not answer the scrape. Pods whose container waits, for its image or after a crash, \
            are left to the alerts that name the reason."
            .into(),
        diagnosis: vec![
            runbook::pods(),
            shell(
                "Does the pod answer? Set POD from the label of the alert",
                format!(
                    "kubectl -n \"$NAMESPACE\" port-forward \"pod/$POD\" {0}:{0} &\ncurl -sS -m 5 localhost:{0}{1} | head",
                    contract::PORT,
                    contract::METRICS_PATH
                ),
            ),
            shell("What does it say?", "kubectl -n \"$NAMESPACE\" logs \"$POD\" --tail=50"),
            query("Which pods are down?", |scope| format!("{} == 0", scope.up())),
            query("Do the others carry the load?", |scope| by("sum", &["pod"], scope.counter(&metrics::REQUESTS).rate("5m"))),
        ],
        mitigation: vec![
            cause("The pod answers by port-forward.", "A NetworkPolicy keeps Prometheus out, or its node is cut off."),
            cause("The pod does not answer and is Ready.", "It is wedged: delete it. Keep its logs."),
            cause("The node is NotReady.", "Its pods are started elsewhere after the node's toleration ends; delete the node to be faster."),
        ],
        resolves: "Two minutes after the pod answers again or is gone.".into(),
    }
}
