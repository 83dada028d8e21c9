//! The scheduler finds no node for a pod.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceWorkerUnschedulable",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "A replica is missing; the others carry its share.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0", all("max", SeriesOf::model(model).gauge(&metrics::MODEL_UNSCHEDULABLE))),
        for_: Some("10m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: pods that no node takes: {{ $value | humanize }}".into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning:
            "The scheduler has found no node for a pod for ten minutes, longer than most autoscalers need to add a node."
                .into(),
        diagnosis: vec![
            runbook::describe(),
            shell(
                "How much do the nodes have, and how much of it is taken?",
                "kubectl describe nodes | grep -A 12 'Allocated resources'",
            ),
            shell("Does the claim exist, and where?", "kubectl -n \"$NAMESPACE\" get persistentvolumeclaims -o wide"),
            query("How many pods, since when?", |series| all("max", series.gauge(&metrics::MODEL_UNSCHEDULABLE))),
        ],
        mitigation: vec![
            cause(
                "`Insufficient cpu`, `memory` or `nvidia.com/gpu`.",
                "Add nodes, free some, or lower `spec.resources.requests` or `spec.replicas`.",
            ),
            cause(
                "`untolerated taint` or `node affinity`.",
                "The nodes with room are not for this namespace: ask who runs the platform.",
            ),
            cause(
                "`unbound immediate PersistentVolumeClaims`.",
                "Create the claim that `spec.model.source.pvc` names.",
            ),
            cause(
                "`volume node affinity conflict`.",
                "The claim lives in another zone: use storage that all zones reach.",
            ),
        ],
        resolves: "As soon as every pod has a node, or fewer are wanted.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let pending = SeriesOf::model(model).gauge(&metrics::MODEL_UNSCHEDULABLE);
    let fires = expected(&[], "search/minilm: pods that no node takes: 2");
    vec![
        Case::new("fires after ten minutes, and resolves when all pods have a node")
            .with(pending.clone(), hold(&[("0", 20), ("2", 60), ("0", 20)]))
            .quiet("14m45s")
            .fires("15m", std::slice::from_ref(&fires))
            .fires("19m45s", &[fires])
            .quiet("20m"),
        Case::new("stays quiet while a node is added")
            .with(pending.clone(), hold(&[("2", 32), ("0", 40)]))
            .quiet("7m45s")
            .quiet("12m"),
    ]
}
