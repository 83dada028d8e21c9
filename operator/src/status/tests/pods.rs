//! Whose words a status repeats when pods ended, were refused or are lost.

use super::*;
use crate::observe::Obstacle;

fn message(status: &InferenceModelStatus) -> String {
    find(&status.conditions, ConditionType::ModelLoaded).unwrap().message.clone()
}

/// A pod that stands beside the others, from its status.
fn pod(name: &str, status: &Value) -> PodReport {
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "worker"}]}, "status": status});
    report(&serde_json::from_value(pod).unwrap())
}

fn evicted() -> PodReport {
    let unschedulable =
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "dead"}]);
    let ended = json!({
        "name": "worker", "image": "i", "imageID": "i", "containerID": "c", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 137, "message": "dead"}},
    });
    pod(
        "evicted",
        &json!({
            "phase": "Failed", "reason": "Evicted", "conditions": unschedulable, "containerStatuses": [ended],
        }),
    )
}

fn rejected() -> PodReport {
    pod("rejected", &json!({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no devices"}))
}

#[test]
fn pods_that_ended_do_not_speak_for_the_deployment() {
    for dead in [evicted(), rejected(), pod("done", &json!({"phase": "Succeeded"}))] {
        let mut pods = vec![dead];
        pods.extend(ready_pods(2));
        let status = status_with(model(&json!({})), vec![], &deployment(2, 2), &pods);
        assert_eq!(seen(&status, ConditionType::Ready), is("True", "Serving"), "{pods:?}");
        assert_eq!(seen(&status, ConditionType::ModelLoaded), is("True", "Loaded"));
        assert_eq!(status.last_failure, None);
    }
}

#[test]
fn a_refusal_of_the_node_speaks_until_a_node_takes_enough_pods() {
    let loading = |stage| PodReport { stage, is_ready: false, ..ready_pods(1).remove(0) };
    let one = || model(&json!({"replicas": 1}));
    let status = status_with(one(), vec![], &deployment(0, 1), &[rejected(), loading(Stage::New)]);
    assert_eq!(seen(&status, ConditionType::Ready), is("False", "RejectedByNode"));
    assert!(message(&status).contains("UnexpectedAdmissionError: no devices"), "{}", message(&status));
    let status = status_with(one(), vec![], &deployment(0, 1), &[rejected(), loading(Stage::Taken)]);
    assert_eq!(seen(&status, ConditionType::ModelLoaded), is("False", "Loading"));
}

#[test]
fn what_is_wrong_with_a_pod_is_said_before_what_another_waits_for() {
    let ill = |reason: Reason| PodReport {
        is_ready: false,
        obstacle: Some(Obstacle { reason, words: format!("{reason:?}").into() }),
        ..ready_pods(1).remove(0)
    };
    let pods = [ill(Reason::Loading), ill(Reason::NodeLost)];
    let status = status_with(model(&json!({})), vec![], &deployment(0, 2), &pods);
    assert_eq!(seen(&status, ConditionType::Ready), is("False", "NodeLost"));
    let status = status_with(model(&json!({})), vec![], &deployment(0, 2), &pods[..1]);
    assert_eq!(seen(&status, ConditionType::ModelLoaded), is("False", "Loading"));
    assert!(message(&status).contains("pod minilm-0"), "{}", message(&status));
}
