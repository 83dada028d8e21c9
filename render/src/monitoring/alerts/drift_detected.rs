//! What is asked is not what was asked in the known-good hour.

use belfry_crds::contract::metrics;
use belfry_crds::contract::quality::{EMBEDDING, INPUT_LENGTH};
use belfry_crds::inference_model::{AlertProfile, AlertSeverity};

use crate::model::ValidModel;
use crate::monitoring::alert::{Alert, AlertRules, Firing};
use crate::monitoring::case::{Case, expected, hold};
use crate::monitoring::example::{POD_A, POD_B};
use crate::monitoring::labels::{AlertComponent, Category};
use crate::monitoring::promql::{Level, SeriesOf, by};
use crate::monitoring::quality;
use crate::monitoring::runbook::{Runbook, cause, query, shell};

pub(in crate::monitoring) const ALERT: Alert = Alert {
    name: "InferenceDriftDetected",
    category: Category::Quality,
    component: AlertComponent::Worker,
    impact: "Answers may be worse than they were measured to be: callers ask about other things, or the model computes otherwise.",
    severities: &[AlertSeverity::Warning],
    rules: AlertRules::Model(AlertProfile::Standard, rules),
    runbook,
    cases,
};

fn rules(model: &ValidModel) -> Vec<Firing> {
    let score = SeriesOf::model(model).gauge(&metrics::DRIFT_SCORE);
    let firings = vec![Firing {
        severity: AlertSeverity::Warning,
        expr: format!("{} > 0.2", worst(score)),
        for_: Some("30m"),
        keep_firing_for: None,
        labels: vec![],
        summary: "{{ $labels.namespace }}/{{ $labels.model }}: texts of the last hour are unlike the baseline in {{ $labels.feature }}"
            .into(),
        description: None,
    }];
    quality::with_baseline(model, firings)
}

fn worst(score: Level) -> String {
    by("max", &["feature"], score)
}

fn runbook() -> Runbook {
    Runbook {
        meaning: "For half an hour the texts of the last hour were unlike those of the baseline in this feature: their lengths, the direction of their \
            vectors, or how sure the model is. Requests are answered as before."
            .into(),
        diagnosis: vec![
            query("Which features, and since when?", |series| worst(series.gauge(&metrics::DRIFT_SCORE))),
            query("Is it one worker, or all?", |series| by("max", &["pod", "feature"], series.gauge(&metrics::DRIFT_SCORE))),
            query("Did the mix of routes change?", |series| {
                by("sum", &["endpoint"], series.counter(&metrics::REQUESTS).rate("1h"))
            }),
            quality::ratings(),
            shell(
                "What was counted, and how old is the baseline?",
                "kubectl get --raw \"/api/v1/namespaces/$NAMESPACE/services/$MODEL:http/proxy/v1/quality\"",
            ),
        ],
        mitigation: vec![
            cause("A caller is new, or sends something else, such as whole documents or another language.", "Ask its owner. If it is meant, measure the model on such texts, and then save a new baseline."),
            cause("Only `embedding` or `confidence`, and the texts are as ever.", "The model computes otherwise: compare `dtype`, `device` and `isa` of the pods in `inference_model_info` and `inference_build_info`, and go back to what ran before."),
            cause("Only `input_length`.", "A prompt, a template or the cutting of documents was changed by a caller."),
            cause("It comes and goes with the time of day.", "The baseline is of another time of day: save one of an hour that is like the usual ones."),
            cause("The change is wanted.", "`belfry baseline $MODEL -n $NAMESPACE | kubectl apply -f -` takes the last hour as the known-good one."),
        ],
        resolves: "When the last hour is like the baseline again, when it has fewer than 500 texts, or when another baseline is saved.".into(),
    }
}

fn cases(model: &ValidModel) -> Vec<Case> {
    let score = |pod: &str, feature: &str| {
        SeriesOf::model(model).gauge(&metrics::DRIFT_SCORE).eq("pod", pod).eq("feature", feature)
    };
    let drifts = |feature| {
        expected(
            &[("feature", feature)],
            &format!("search/minilm: texts of the last hour are unlike the baseline in {feature}"),
        )
    };
    vec![
        Case::new("fires for the feature that changed for half an hour on one worker, and resolves")
            .with(score(POD_A, EMBEDDING), hold(&[("0.02", 40), ("0.6", 160), ("0.05", 80)]))
            .with(score(POD_B, EMBEDDING), hold(&[("0.02", 280)]))
            .with(score(POD_A, INPUT_LENGTH), hold(&[("0.1", 280)]))
            .quiet("39m")
            .fires("41m", &[drifts(EMBEDDING)])
            .quiet("51m"),
        Case::new("stays quiet on a change of twenty minutes, and on one too small to act on")
            .with(score(POD_A, EMBEDDING), hold(&[("0.02", 40), ("0.6", 80), ("0.05", 160)]))
            .with(score(POD_A, INPUT_LENGTH), hold(&[("0.19", 280)]))
            .quiet("29m")
            .quiet("69m"),
        Case::new("stays quiet where nothing is compared, since too few texts come")
            .with(score(POD_A, EMBEDDING), hold(&[("0.6", 40), ("stale", 1), ("_", 200)]))
            .quiet("45m"),
    ]
}
