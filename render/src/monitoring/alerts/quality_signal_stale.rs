//! A baseline is configured, and nothing is compared with it.

use belfry_crds::contract::metrics;
use belfry_crds::contract::quality::USED;
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::{POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{SeriesOf, all, by};
use crate::monitoring::quality;
use crate::monitoring::runbook::{Runbook, cause, query, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceQualitySignalStale",
    category: Category::Quality,
    component: AlertComponent::Worker,
    impact: "None now: a change of what callers ask would not be noticed.",
    severities: &[AlertSeverity::Info],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

/// Six hours are time to save a baseline of a new version, and of a new model.
fn rules(model: &ValidModel) -> Vec<Firing> {
    let used = SeriesOf::model(model).gauge(&metrics::DRIFT_BASELINE).eq("state", USED);
    let firings = vec![Firing {
        severity: AlertSeverity::Info,
        expr: format!("{} == 0", all("min", used)),
        for_: Some("6h"),
        keep_firing_for: None,
        labels: vec![],
        summary:
            "{{ $labels.namespace }}/{{ $labels.model }}: for six hours its texts have been compared with no baseline"
                .into(),
        description: None,
    }];
    quality::with_baseline(model, firings)
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "`spec.quality.baseline` names a ConfigMap, and for six hours at least one worker could not use it. Drift is not measured there, and \
            InferenceDriftDetected can't fire for it."
            .into(),
        diagnosis: vec![
            query("Which state does each worker say?", |series| {
                format!("{} == 1", by("max", &["pod", "state"], series.gauge(&metrics::DRIFT_BASELINE)))
            }),
            shell(
                "Why? The message stands beside the baseline's state",
                "kubectl get --raw \"/api/v1/namespaces/$NAMESPACE/services/$MODEL:http/proxy/v1/quality\"",
            ),
            shell(
                "Which ConfigMap and which key does the model name?",
                "kubectl -n \"$NAMESPACE\" get inferencemodel \"$MODEL\" -o jsonpath='{.spec.quality.baseline}'",
            ),
        ],
        mitigation: vec![
            cause("`missing`.", "Save one: `belfry baseline $MODEL -n $NAMESPACE | kubectl apply -f -`, or correct the name or the key."),
            cause("`other_model`: a new version was rolled out.", "When the new version has served an hour that you know was good, save a baseline of it."),
            cause("`unusable`.", "The message says why; save it again."),
            cause("The workers differ.", "The kubelet brings a changed ConfigMap within two minutes; look whether a rollout goes on."),
        ],
        resolves: "When every worker compares its texts with the baseline, or when `spec.quality.baseline` is removed.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let used = |pod: &str| SeriesOf::model(model).gauge(&metrics::DRIFT_BASELINE).eq("pod", pod).eq("state", USED);
    let stale = expected(&[], "search/minilm: for six hours its texts have been compared with no baseline");
    vec![
        Case::new("fires after six hours in which one worker used no baseline, and resolves")
            .with(used(POD_A), hold(&[("0", 1500), ("1", 100)]))
            .with(used(POD_B), hold(&[("1", 1600)]))
            .quiet("5h50m")
            .fires("6h10m", &[stale])
            .quiet("6h30m"),
        Case::new("stays quiet in the hours before a baseline is saved")
            .with(used(POD_A), hold(&[("0", 1200), ("1", 480)]))
            .quiet("4h50m")
            .quiet("6h50m"),
    ]
}
