//! The kubelet can't pull the image of containers.

use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example;
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all, by};
use crate::monitoring::runbook::{self, Runbook, cause, query, shell};
use crate::monitoring::series::waiting;

/// The kubelet's reasons that mean that there is no image.
const NO_IMAGE: &[&str] = &["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"];

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceImagePullFailing",
    category: Category::Lifecycle,
    component: AlertComponent::Worker,
    impact: "New replicas do not start; those that run go on serving.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// The rule adds up the reasons, because a pod alternates between `ErrImagePull` and `ImagePullBackOff`.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let missing = waiting(&SeriesOf::model(model)).one_of("reason", NO_IMAGE);
    vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0", all("sum", by("max", &["reason"], missing))),
        for_: Some("5m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: replicas without their image: {{ $value | humanize }}"
            .into(),
        description: None,
    }]
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The kubelet has not been able to get the worker's image for five minutes. It keeps trying.".into(),
        diagnosis: vec![
            runbook::describe(),
            shell(
                "Which image is wanted?",
                runbook::kubectl("get pods", "-o jsonpath='{.items[*].spec.containers[*].image}'"),
            ),
            query("Which reason?", |series| {
                format!("{} > 0", by("max", &["reason"], waiting(series).one_of("reason", NO_IMAGE)))
            }),
        ],
        mitigation: vec![
            cause("`not found` or `manifest unknown`.", "The tag does not exist: correct `spec.runtime.image`."),
            cause(
                "`unauthorized` or `denied`.",
                "The nodes or the ServiceAccount lack a pull secret for that registry.",
            ),
            cause("`ErrImageNeverPull`.", "The image must be on the node already, and is not: load it there."),
            cause(
                "Time-outs.",
                "The registry or the way to it is down: other workloads show it too. Do not delete pods that run.",
            ),
        ],
        resolves: "As soon as every container has its image.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let fires = expected(&[], "search/minilm: replicas without their image: 1");
    vec![
        Case::new("fires although the kubelet changes between two reasons, and resolves")
            .with(example::waiting(model, "ErrImagePull"), hold(&[("0", 20), ("1", 4), ("0", 8), ("1", 2), ("0", 40)]))
            .with(
                example::waiting(model, "ImagePullBackOff"),
                hold(&[("0", 24), ("1", 8), ("0", 2), ("1", 20), ("0", 20)]),
            )
            .quiet("9m45s")
            .fires("10m", std::slice::from_ref(&fires))
            .fires("13m15s", &[fires])
            .quiet("13m30s"),
        Case::new("stays quiet while a large image is pulled")
            .with(example::waiting(model, "ContainerCreating"), hold(&[("1", 80)]))
            .quiet("6m")
            .quiet("19m"),
        Case::new("stays quiet when one pull fails and the next does not")
            .with(example::waiting(model, "ErrImagePull"), hold(&[("1", 2), ("0", 40)]))
            .quiet("5m")
            .quiet("8m"),
    ]
}
