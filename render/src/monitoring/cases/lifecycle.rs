//! Cases of `InferenceModelLoadFailed`, `InferenceModelNotLoaded` and `InferenceRolloutStuck`.

use belfry_crds::contract::load_failure::LoadFailureReason;
use belfry_crds::contract::metrics;

use super::{POD_A, POD_B, condition, expected};
use crate::model::ValidModel;
use crate::monitoring::promql::{Level, Scope};
use crate::monitoring::rule_test::{Case, Expected, hold};

fn load_failed(reason: &'static str) -> Expected {
    expected(
        &[("reason", reason)],
        &format!("search/minilm: a replica can't load the model: {reason}"),
        &format!(
            "At least one replica of search/minilm ended because it could not load the model, with reason {reason}. The condition \
             ModelLoaded says which file or address. Pods try again by themselves."
        ),
    )
}

pub(in crate::monitoring) fn model_load_failed(model: &ValidModel) -> Vec<Case> {
    let loaded = |status, reason| condition(model, ["ModelLoaded", status, reason]);
    let mut every_reason = Case::new("fires on every reason of the contract");
    for reason in LoadFailureReason::ALL {
        every_reason = every_reason.with(loaded("False", reason.as_str()), hold(&[("1", 8)]));
    }
    let all: Vec<_> = LoadFailureReason::ALL.iter().map(|reason| load_failed(reason.as_str())).collect();
    vec![
        Case::new("fires at once, goes on between two attempts, and resolves five minutes after the model is loaded")
            .with(loaded("False", "Loading"), hold(&[("1", 4), ("stale", 1), ("_", 7), ("1", 8), ("stale", 1)]))
            .with(
                loaded("False", "AuthFailed"),
                hold(&[("_", 4), ("1", 8), ("stale", 1), ("_", 7), ("1", 20), ("stale", 1)]),
            )
            .with(loaded("True", "Loaded"), hold(&[("_", 40), ("1", 40)]))
            .quiet("45s")
            .fires("1m", &[load_failed("AuthFailed")])
            .fires("4m", &[load_failed("AuthFailed")])
            .fires("9m45s", &[load_failed("AuthFailed")])
            .quiet("15m15s"),
        every_reason.fires("1m", &all),
        Case::new("stays quiet while the model loads")
            .with(loaded("False", "Loading"), hold(&[("1", 80)]))
            .quiet("1m")
            .quiet("19m"),
        Case::new("stays quiet when the model is scaled to zero")
            .with(loaded("False", "ScaledToZero"), hold(&[("1", 80)]))
            .quiet("19m"),
        Case::new("stays quiet while the model is suspended")
            .with(loaded("False", "Suspended"), hold(&[("1", 80)]))
            .quiet("19m"),
        Case::new("stays quiet when the worker crashes for another reason, which is InferenceWorkerCrashLooping")
            .with(loaded("False", "WorkerCrashed"), hold(&[("1", 80)]))
            .quiet("19m"),
    ]
}

fn loaded(model: &ValidModel, pod: &str) -> Level {
    Scope::model(model).gauge(&metrics::MODEL_LOADED).eq("pod", pod)
}

pub(in crate::monitoring) fn model_not_loaded(model: &ValidModel) -> Vec<Case> {
    let hangs = expected(
        &[("pod", POD_B)],
        "search/minilm: pod minilm-b has been without its model for 10 minutes",
        "Pod minilm-b of search/minilm runs, and has not loaded the model in 10 minutes. It is slow, or it hangs.",
    );
    vec![
        Case::new("fires for the one pod that hangs, and resolves when it has loaded")
            .with(loaded(model, POD_A), hold(&[("1", 100)]))
            .with(loaded(model, POD_B), hold(&[("0", 60), ("1", 40)]))
            .quiet("9m45s")
            .fires("10m", std::slice::from_ref(&hangs))
            .fires("14m45s", &[hangs])
            .quiet("15m"),
        Case::new("stays quiet while a pod loads for eight minutes")
            .with(loaded(model, POD_B), hold(&[("0", 32), ("1", 40)]))
            .quiet("7m45s")
            .quiet("12m"),
        Case::new("stays quiet when pods load one after the other")
            .with(loaded(model, POD_A), hold(&[("0", 30), ("1", 50)]))
            .with(loaded(model, POD_B), hold(&[("_", 30), ("0", 30), ("1", 20)]))
            .quiet("10m")
            .quiet("14m"),
        Case::new("stays quiet when a pod is drained")
            .with(loaded(model, POD_B), hold(&[("1", 20), ("0", 3), ("stale", 1), ("_", 60)]))
            .quiet("6m")
            .quiet("20m"),
        Case::new("stays quiet when the model is scaled to zero").quiet("20m"),
    ]
}

pub(in crate::monitoring) fn rollout_stuck(model: &ValidModel) -> Vec<Case> {
    let progressing = |status, reason| condition(model, ["Progressing", status, reason]);
    let stuck = |reason: &'static str| {
        expected(
            &[("reason", reason)],
            &format!("search/minilm: the rollout makes no progress: {reason}"),
            &format!(
                "Condition Progressing of search/minilm has been False for at least 1 minute, with reason {reason}. Old pods go on \
                 serving; new ones do not become ready."
            ),
        )
    };
    vec![
        Case::new("fires a minute after the deadline, and resolves when the rollout is complete")
            .with(progressing("True", "RollingOut"), hold(&[("1", 40), ("stale", 1)]))
            .with(progressing("False", "ProgressDeadlineExceeded"), hold(&[("_", 40), ("1", 20), ("stale", 1)]))
            .with(progressing("True", "RolloutComplete"), hold(&[("_", 60), ("1", 20)]))
            .quiet("10m45s")
            .fires("11m", &[stuck("ProgressDeadlineExceeded")])
            .fires("14m45s", &[stuck("ProgressDeadlineExceeded")])
            .quiet("15m"),
        Case::new("fires when the API server refuses the pods")
            .with(progressing("False", "PodsRefused"), hold(&[("1", 20)]))
            .fires("2m", &[stuck("PodsRefused")]),
        Case::new("stays quiet in a rolling update")
            .with(progressing("True", "RollingOut"), hold(&[("1", 80)]))
            .quiet("5m")
            .quiet("19m"),
        Case::new("stays quiet while the model is suspended")
            .with(progressing("True", "Suspended"), hold(&[("1", 80)]))
            .quiet("19m"),
        Case::new("stays quiet when the model is deleted")
            .with(progressing("False", "ProgressDeadlineExceeded"), hold(&[("1", 2), ("stale", 1), ("_", 20)]))
            .quiet("2m"),
    ]
}
