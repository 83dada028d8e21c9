//! Cases of `InferenceTargetsAbsent` and `InferenceWorkerDown`.

use super::{POD_A, POD_B, expected, replicas, up, waiting};
use crate::model::ValidModel;
use crate::monitoring::rule_test::{Case, Expected, hold};

/// A target that is there for five minutes, gone for fifteen, and there again.
fn lost_and_found() -> String {
    hold(&[("1", 20), ("stale", 1), ("_", 59), ("1", 20)])
}

pub(in crate::monitoring) fn targets_absent(model: &ValidModel) -> Vec<Case> {
    let story = |name: &'static str, ready: &[(&str, u32)]| Case::new(name).with(replicas(model, "ready"), hold(ready));
    let absent = expected(
        &[],
        "search/minilm: Prometheus scrapes none of 2 ready replicas",
        "The model search/minilm has 2 ready replicas, and for 3 minutes Prometheus has had no target for any of them. \
         Alerts about its requests can't ring.",
    );
    vec![
        story(
            "fires 3 minutes after the last target of a serving model is lost, and resolves with the first",
            &[("2", 100)],
        )
        .with(up(model, POD_A), lost_and_found())
        .with(up(model, POD_B), lost_and_found())
        .quiet("7m45s")
        .fires("8m", std::slice::from_ref(&absent))
        .fires("19m45s", &[absent])
        .quiet("20m"),
        story("stays quiet when the model is scaled to zero", &[("2", 22), ("0", 78)])
            .with(up(model, POD_A), lost_and_found())
            .quiet("8m")
            .quiet("15m"),
        story("stays quiet when no replica is ready, which is InferenceModelDown", &[("0", 60)])
            .with(replicas(model, "desired"), hold(&[("2", 60)]))
            .quiet("5m")
            .quiet("14m"),
        story("stays quiet in a rolling update", &[("2", 80)])
            .with(up(model, POD_A), hold(&[("1", 20), ("stale", 1), ("_", 59)]))
            .with(up(model, POD_B), hold(&[("_", 18), ("0", 2), ("1", 60)]))
            .quiet("8m")
            .quiet("15m"),
        story("stays quiet when targets are there and do not answer, which is InferenceWorkerDown", &[("2", 60)])
            .with(up(model, POD_A), hold(&[("0", 60)]))
            .quiet("10m"),
    ]
}

fn down(pod: &'static str) -> Expected {
    expected(
        &[("pod", pod)],
        &format!("search/minilm: pod {pod} can't be scraped"),
        &format!("Prometheus has got no answer from pod {pod} of search/minilm for 2 minutes."),
    )
}

pub(in crate::monitoring) fn worker_down(model: &ValidModel) -> Vec<Case> {
    let both = |name: &'static str, a: &[(&str, u32)], b: &[(&str, u32)]| {
        Case::new(name).with(up(model, POD_A), hold(a)).with(up(model, POD_B), hold(b))
    };
    vec![
        both(
            "fires for the one pod that does not answer, and resolves",
            &[("1", 60)],
            &[("1", 20), ("0", 20), ("1", 20)],
        )
        .quiet("6m45s")
        .fires("7m", &[down(POD_B)])
        .fires("11m", &[down(POD_B)])
        .quiet("12m15s"),
        both("stays quiet while a new pod gets its image", &[("1", 60)], &[("_", 8), ("0", 40), ("1", 12)])
            .with(waiting(model, "ContainerCreating"), hold(&[("0", 8), ("1", 40), ("0", 12)]))
            .quiet("5m")
            .quiet("11m45s")
            .quiet("13m"),
        both(
            "stays quiet while a container crashes again and again, which is InferenceWorkerCrashLooping",
            &[("1", 60)],
            &[("0", 60)],
        )
        .with(waiting(model, "CrashLoopBackOff"), hold(&[("1", 60)]))
        .quiet("10m"),
        both("fires when a waiting pod does not explain all that are down", &[("0", 60)], &[("0", 60)])
            .with(waiting(model, "ContainerCreating"), hold(&[("1", 60)]))
            .fires("5m", &[down(POD_A), down(POD_B)]),
        both("stays quiet when a pod is deleted", &[("1", 60)], &[("1", 20), ("0", 3), ("stale", 1), ("_", 36)])
            .quiet("6m")
            .quiet("8m"),
        both("stays quiet when one scrape is missed", &[("1", 60)], &[("1", 20), ("0", 1), ("1", 39)])
            .quiet("5m")
            .quiet("8m"),
    ]
}
