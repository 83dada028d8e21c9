//! Cases of `InferenceWorkerCrashLooping`, `InferenceWorkerUnschedulable` and `InferenceImagePullFailing`.

use belfry_crds::contract::metrics;

use super::{expected, waiting};
use crate::model::ValidModel;
use crate::monitoring::promql::Scope;
use crate::monitoring::rule_test::{Case, hold};

pub(in crate::monitoring) fn crash_looping(model: &ValidModel) -> Vec<Case> {
    let looping = waiting(model, "CrashLoopBackOff");
    let fires = expected(
        &[],
        "search/minilm: replicas in CrashLoopBackOff: 1",
        "Containers of search/minilm have ended soon after each start for 2 minutes; replicas that wait for their next start: 1.",
    );
    vec![
        Case::new("fires although a scrape may see the container run, and resolves 90 seconds after the last wait")
            .with(looping.clone(), hold(&[("0", 20), ("1", 1), ("0", 2), ("1", 2), ("0", 2), ("1", 13), ("0", 40)]))
            .quiet("6m45s")
            .fires("7m", std::slice::from_ref(&fires))
            .fires("10m", &[fires])
            .quiet("11m30s"),
        Case::new("stays quiet when a container is restarted once")
            .with(looping.clone(), hold(&[("0", 20), ("1", 1), ("0", 40)]))
            .quiet("6m30s")
            .quiet("7m"),
        Case::new("stays quiet while containers are created")
            .with(waiting(model, "ContainerCreating"), hold(&[("2", 60)]))
            .quiet("5m")
            .quiet("14m"),
    ]
}

pub(in crate::monitoring) fn unschedulable(model: &ValidModel) -> Vec<Case> {
    let pending = Scope::model(model).gauge(&metrics::MODEL_UNSCHEDULABLE);
    let fires = expected(
        &[],
        "search/minilm: pods that no node takes: 2",
        "Pods of search/minilm have found no node for 10 minutes, now 2; an autoscaler of nodes would have helped by now.",
    );
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

pub(in crate::monitoring) fn image_pull_failing(model: &ValidModel) -> Vec<Case> {
    let fires = expected(
        &[],
        "search/minilm: replicas without their image: 1",
        "Replicas of search/minilm have waited for their image for 5 minutes, now 1, and pulling it fails.",
    );
    vec![
        Case::new("fires although the kubelet changes between two reasons, and resolves")
            .with(waiting(model, "ErrImagePull"), hold(&[("0", 20), ("1", 4), ("0", 8), ("1", 2), ("0", 40)]))
            .with(waiting(model, "ImagePullBackOff"), hold(&[("0", 24), ("1", 8), ("0", 2), ("1", 20), ("0", 20)]))
            .quiet("9m45s")
            .fires("10m", std::slice::from_ref(&fires))
            .fires("13m15s", &[fires])
            .quiet("13m30s"),
        Case::new("stays quiet while a large image is pulled")
            .with(waiting(model, "ContainerCreating"), hold(&[("1", 80)]))
            .quiet("6m")
            .quiet("19m"),
        Case::new("stays quiet when one pull fails and the next does not")
            .with(waiting(model, "ErrImagePull"), hold(&[("1", 2), ("0", 40)]))
            .quiet("5m")
            .quiet("8m"),
    ]
}
