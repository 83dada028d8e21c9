//! More than a quarter of the wanted replicas are missing, and no rollout explains it.

use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all};
use crate::monitoring::runbook::{self, Runbook, cause, shell};
use crate::monitoring::series::replicas;

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceCapacityDegraded",
    category: Category::Availability,
    component: AlertComponent::Worker,
    impact: "The replicas that are left carry the load of all; one more fault may be felt.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Full, rules),
    runbook,
    cases,
};

/// None at all is InferenceModelDown. The window bridges a restart of the operator, whose series these are.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let series = SeriesOf::model(model);
    let now = |state| all("max", replicas(&series, state).over_time("last", "5m"));
    let moving = all("max", format!("changes({}[10m])", replicas(&series, "updated")));
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{ready} / {} < 0.75 and {ready} > 0 unless {moving} > 0", now("desired"), ready = now("ready")),
        for_: Some("15m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanizePercentage }} of the wanted replicas are ready"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For fifteen minutes fewer than three quarters of the wanted replicas have been ready, and no rollout has moved.".into(),
        diagnosis: vec![
            runbook::pods(),
            runbook::describe(),
            runbook::replicas(),
            shell("Are nodes missing?", "kubectl get nodes"),
        ],
        mitigation: vec![
            cause("Pods are `Pending`.", "Go on with [InferenceWorkerUnschedulable](InferenceWorkerUnschedulable.md): the cluster lacks room, or a quota is used up."),
            cause("Nodes are `NotReady`, or were taken back by the cloud.", "Add nodes. Spread the model over more zones, or raise its share of nodes that stay."),
            cause("No pod is made, and the Deployment says `FailedCreate`.", "A quota or an admission policy refuses them: its message is in `kubectl describe replicaset`."),
            cause("Pods run and never become ready.", "Go on with [InferenceWorkerCrashLooping](InferenceWorkerCrashLooping.md) and [InferenceModelNotLoaded](InferenceModelNotLoaded.md)."),
        ],
        resolves: "As soon as three quarters of the wanted replicas are ready, or fewer are wanted.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, desired: &[(&str, u32)], ready: &[(&str, u32)], updated: &[(&str, u32)]| {
        Case::new(name)
            .with(example::replicas(model, "desired"), hold(desired))
            .with(example::replicas(model, "ready"), hold(ready))
            .with(example::replicas(model, "updated"), hold(updated))
    };
    let half = expected(&[], "search/minilm: 50% of the wanted replicas are ready");
    vec![
        story(
            "fires fifteen minutes after half of the replicas are gone, and resolves with the next that is ready",
            &[("4", 200)],
            &[("4", 20), ("2", 100), ("3", 80)],
            &[("4", 200)],
        )
        .quiet("19m45s")
        .fires("20m", std::slice::from_ref(&half))
        .fires("29m45s", std::slice::from_ref(&half))
        .quiet("30m15s"),
        story(
            "fires although the operator restarts meanwhile",
            &[("4", 40), ("_", 8), ("4", 100)],
            &[("4", 20), ("2", 20), ("_", 8), ("2", 100)],
            &[("4", 40), ("_", 8), ("4", 100)],
        )
        .fires("20m", &[half]),
        story(
            "stays quiet during a rollout",
            &[("4", 120)],
            &[("4", 20), ("2", 100)],
            &[("4", 20), ("0", 24), ("1", 24), ("2", 24), ("3", 28)],
        )
        .quiet("20m")
        .quiet("29m"),
        story("stays quiet when one of four is missing", &[("4", 120)], &[("3", 120)], &[("4", 120)]).quiet("25m"),
        story("leaves a model without any to another alert", &[("4", 120)], &[("0", 120)], &[("4", 120)]).quiet("25m"),
    ]
}
