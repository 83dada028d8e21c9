//! Cases of the alerts about passes of the operator.

use belfry_crds::contract::metrics;

use super::expected;
use crate::model::ValidModel;
use crate::monitoring::OPERATOR_JOB;
use crate::monitoring::promql::{Level, Scope, Total};
use crate::monitoring::rule_test::{Case, Expected, grow, hold};

fn passes(outcome: &str) -> Total {
    Scope::job(OPERATOR_JOB).counter(&metrics::RECONCILES).eq("outcome", outcome)
}

pub(in crate::monitoring) fn reconcile_errors(_: &ValidModel) -> Vec<Case> {
    let fires = |share: &str| {
        expected(
            &[],
            &format!("Belfry's operator: {share} of its passes over models failed in 10 minutes"),
            &format!(
                "More than 5% of the passes of the operator have been failing for 15 minutes, {share} in the last 10. Its log names the \
                 models and the error."
            ),
        )
    };
    vec![
        Case::new("fires when passes go on failing, and resolves ten minutes after the last failure")
            .with(passes("failed"), grow(&[(0, 20), (1, 80), (0, 60)]))
            .with(passes("unchanged"), grow(&[(3, 160)]))
            .quiet("20m")
            .fires("22m", &[fires("25%")])
            .fires("25m", &[fires("25%")])
            .quiet("35m15s"),
        Case::new("fires when the only model fails with the longest pauses")
            .with(passes("failed"), hold(&[("1", 22), ("2", 22), ("3", 22), ("4", 22), ("5", 22)]))
            .fires("26m", &[fires("100%")]),
        Case::new("stays quiet on a single conflict")
            .with(passes("failed"), hold(&[("0", 20), ("1", 100)]))
            .with(passes("unchanged"), hold(&[("9", 120)]))
            .quiet("14m")
            .quiet("25m"),
        Case::new("stays quiet while one model of many fails, which is InferenceModelStuck")
            .with(passes("failed"), grow(&[(1, 120)]))
            .with(passes("unchanged"), grow(&[(30, 120)]))
            .quiet("20m")
            .quiet("29m"),
        Case::new("stays quiet on specifications and objects that are refused")
            .with(passes("invalid"), grow(&[(1, 120)]))
            .with(passes("refused"), grow(&[(1, 120)]))
            .quiet("20m")
            .quiet("29m"),
        Case::new("stays quiet when the operator restarts and its counters begin anew")
            .with(passes("failed"), hold(&[("7", 20), ("0", 100)]))
            .with(passes("unchanged"), hold(&[("7", 20), ("0", 100)]))
            .quiet("10m")
            .quiet("25m"),
    ]
}

fn age() -> Level {
    Scope::job(OPERATOR_JOB).gauge(&metrics::RECONCILE_AGE)
}

pub(in crate::monitoring) fn queue_stuck(_: &ValidModel) -> Vec<Case> {
    let waited = |seconds: &str| {
        expected(
            &[],
            &format!("Belfry's operator: a model has waited {seconds}s for its pass"),
            &format!(
                "For 5 minutes, some model has always waited longer than a minute for its pass, now {seconds}s. The operator has more to do \
                 than it can, or its passes hang."
            ),
        )
    };
    vec![
        Case::new("fires when the head of the queue waits, and resolves two minutes after it is taken")
            .with(age(), format!("{} {}", grow(&[(15, 41)]), hold(&[("0", 20)])))
            .quiet("6m")
            .fires("6m15s", &[waited("375")])
            .fires("10m", &[waited("600")])
            .quiet("12m15s"),
        Case::new("stays quiet while a thousand new models are worked off in three minutes")
            .with(age(), hold(&[("20", 4), ("90", 12), ("30", 4), ("0", 40)]))
            .quiet("4m")
            .quiet("9m"),
        Case::new("stays quiet when nothing waits").with(age(), hold(&[("0", 60)])).quiet("14m"),
    ]
}

fn of_model(level: Level) -> Level {
    level.eq("namespace", "search").eq("model", "minilm")
}

fn generation(value: &[(&str, u32)], observed: &[(&str, u32)], name: &'static str) -> Case {
    let scope = Scope::job(OPERATOR_JOB);
    Case::new(name)
        .with(of_model(scope.gauge(&metrics::MODEL_GENERATION)), hold(value))
        .with(of_model(scope.gauge(&metrics::MODEL_OBSERVED_GENERATION)), hold(observed))
}

fn refused(values: &[(&str, u32)], name: &'static str) -> Case {
    let scope = Scope::job(OPERATOR_JOB);
    let objects = |state: &str| of_model(scope.gauge(&metrics::MODEL_OBJECTS)).eq("state", state);
    Case::new(name).with(objects("refused"), hold(values)).with(objects("missing"), hold(&[("2", 120)]))
}

fn undecodable(name: &'static str, values: &[(&str, u32)]) -> Case {
    Case::new(name).with(of_model(Scope::job(OPERATOR_JOB).gauge(&metrics::MODEL_UNDECODABLE)), hold(values))
}

fn stuck(cause: &'static str, summary: &str, description: &str) -> Expected {
    expected(&[("cause", cause), ("namespace", "search"), ("model", "minilm")], summary, description)
}

pub(in crate::monitoring) fn model_stuck(_: &ValidModel) -> Vec<Case> {
    let unseen = |generation: u32| {
        stuck(
            "not-observed",
            "search/minilm: a change has not been taken up in 10 minutes",
            &format!(
                "The specification of search/minilm has generation {generation}, and for 10 minutes no pass over it has ended."
            ),
        )
    };
    let refusal = stuck(
        "objects-refused",
        "search/minilm: refused objects: 1",
        "The API server has refused objects of search/minilm for 15 minutes, now 1. Its conditions name them and the reason.",
    );
    let unreadable = stuck(
        "undecodable",
        "search/minilm: the operator can't decode it",
        "For 5 minutes, the operator has left search/minilm as it is, because it can't decode what is stored. Its log names the field.",
    );
    vec![
        generation(
            &[("1", 20), ("2", 100)],
            &[("1", 80), ("2", 40)],
            "fires ten minutes after a change that no pass takes up, and resolves when one does",
        )
        .quiet("14m45s")
        .fires("15m", &[unseen(2)])
        .fires("19m45s", &[unseen(2)])
        .quiet("20m"),
        generation(&[("1", 60)], &[("0", 60)], "fires for a new model that no pass ever ended for")
            .quiet("9m45s")
            .fires("10m", &[unseen(1)]),
        generation(
            &[("1", 20), ("2", 60)],
            &[("1", 22), ("2", 58)],
            "stays quiet when a change is taken up in 30 seconds",
        )
        .quiet("10m")
        .quiet("19m"),
        generation(
            &[("1", 20), ("2", 20), ("stale", 1), ("_", 60)],
            &[("1", 40), ("stale", 1), ("_", 60)],
            "stays quiet when the model is deleted and goes",
        )
        .quiet("14m")
        .quiet("20m"),
        refused(
            &[("0", 20), ("1", 80), ("0", 20)],
            "fires when an object is refused for 15 minutes, and resolves with it",
        )
        .quiet("19m45s")
        .fires("20m", std::slice::from_ref(&refusal))
        .fires("24m45s", &[refusal])
        .quiet("25m"),
        refused(&[("0", 20), ("1", 20), ("0", 60)], "stays quiet when a quota is raised within five minutes")
            .quiet("9m")
            .quiet("24m"),
        refused(&[("0", 120)], "stays quiet where the kinds of the Prometheus Operator are missing").quiet("29m"),
        undecodable(
            "fires five minutes after a model can't be decoded, and resolves when it can",
            &[("_", 20), ("1", 40), ("stale", 1)],
        )
        .quiet("9m45s")
        .fires("10m", std::slice::from_ref(&unreadable))
        .fires("14m45s", &[unreadable])
        .quiet("15m15s"),
        undecodable("stays quiet when a definition is mended within a minute", &[("_", 20), ("1", 4), ("stale", 1)])
            .quiet("12m"),
    ]
}
