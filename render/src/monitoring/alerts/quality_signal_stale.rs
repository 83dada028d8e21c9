//! A baseline is configured, and nothing is compared with it; or the scores of an evaluation job are old.

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
    let series = SeriesOf::model(model);
    let used = series.gauge(&metrics::DRIFT_BASELINE).eq("state", USED);
    let (time, unreadable) =
        (series.gauge(&metrics::MODEL_ACCURACY_TIME), series.gauge(&metrics::MODEL_ACCURACY_UNREADABLE));
    let baseline = Firing {
        severity: AlertSeverity::Info,
        expr: format!("{} == 0", all("min", used)),
        for_: Some("6h"),
        keep_firing_for: None,
        labels: vec![("signal", "baseline".to_owned())],
        summary:
            "{{ $labels.namespace }}/{{ $labels.model }}: for six hours its texts have been compared with no baseline"
                .into(),
        description: None,
    };
    let old = Firing {
        expr: format!("time() - {} > 172800", by("max", &["dataset"], time)),
        for_: Some("5m"),
        labels: vec![("signal", "accuracy".to_owned())],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: its score on {{ $labels.dataset }} is {{ $value | humanizeDuration }} old"
            .into(),
        ..baseline.clone()
    };
    let wrong = Firing {
        expr: format!("{} > 0", all("max", unreadable)),
        for_: Some("5m"),
        labels: vec![("signal", "annotation".to_owned())],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: {{ $value | humanize }} of its annotations accuracy.belfry.dev can't be read"
            .into(),
        ..baseline.clone()
    };
    [quality::with_baseline(model, vec![baseline]), quality::evaluated(model, vec![old, wrong])].concat()
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "The label `signal` says which. `baseline`: `spec.quality.baseline` names a ConfigMap, and for six hours at least one worker could not use it. Drift is not measured there, and \
            InferenceDriftDetected can't fire for it. `accuracy`: the last score of a data set is more than two days old. `annotation`: what a job wrote can't be read."
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
                "What did an evaluation job write, and when?",
                "kubectl -n \"$NAMESPACE\" get inferencemodel \"$MODEL\" -o yaml | grep accuracy.belfry.dev",
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
            cause("`signal` is `accuracy`.", "The evaluation job has not written for two days: look at its last run, and run it again."),
            cause("`signal` is `annotation`.", "A value is no JSON object with `score`, `version` and `time`: correct what the job writes."),
            cause("The workers differ.", "The kubelet brings a changed ConfigMap within two minutes; look whether a rollout goes on."),
        ],
        resolves: "When every worker compares its texts with the baseline, or when `spec.quality.baseline` is removed.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let used = |pod: &str| SeriesOf::model(model).gauge(&metrics::DRIFT_BASELINE).eq("pod", pod).eq("state", USED);
    let stale = expected(
        &[("signal", "baseline")],
        "search/minilm: for six hours its texts have been compared with no baseline",
    );
    let time = |dataset: &str| {
        let series = SeriesOf::model(model).gauge(&metrics::MODEL_ACCURACY_TIME);
        series.eq("version", "v3").eq("dataset", dataset)
    };
    let unreadable = SeriesOf::model(model).gauge(&metrics::MODEL_ACCURACY_UNREADABLE).to_string();
    let old = expected(
        &[("signal", "accuracy"), ("dataset", "stsb")],
        "search/minilm: its score on stsb is 2d 2h 10m 0s old",
    );
    let wrong =
        expected(&[("signal", "annotation")], "search/minilm: 1 of its annotations accuracy.belfry.dev can't be read");
    vec![
        Case::new("fires after six hours in which one worker used no baseline, and resolves")
            .with(used(POD_A), hold(&[("0", 1500), ("1", 100)]))
            .with(used(POD_B), hold(&[("1", 1600)]))
            .quiet("5h50m")
            .fires("6h10m", &[stale])
            .quiet("6h30m"),
        Case::new("fires when a score is more than two days old, and resolves with the next")
            .with(time("stsb"), hold(&[("-180000", 60), ("900", 60)]))
            .fires("10m", &[old])
            .quiet("20m"),
        Case::new("stays quiet when a score is of yesterday and every annotation is read")
            .with(time("stsb"), hold(&[("-100000", 80)]))
            .with(unreadable.clone(), hold(&[("0", 80)]))
            .quiet("15m"),
        Case::new("fires when an annotation can't be read").with(unreadable, hold(&[("1", 80)])).fires("15m", &[wrong]),
        Case::new("stays quiet in the hours before a baseline is saved")
            .with(used(POD_A), hold(&[("0", 1200), ("1", 480)]))
            .quiet("4h50m")
            .quiet("6h50m"),
    ]
}
