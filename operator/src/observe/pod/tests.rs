//! What is read from pods as clusters make them: with containers of others, on lost nodes, ended.

use serde_json::{Value, json};

use super::*;

const LOADED: &str = "2026-01-01T00:01:00Z";

/// A pod of the worker, with these fields of its status.
fn pod(status: Value) -> PodReport {
    let env = json!([{"name": "BELFRY_TERMINATION_LOG", "value": "/dev/termination-log"}]);
    let spec = json!({
        "nodeName": "n",
        "initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}, {"name": "istio-init"}],
        "containers": [{"name": "agent"}, {"name": "worker", "image": "belfry-worker:1", "env": env}],
    });
    let pod = json!({"metadata": {"name": "m-0"}, "spec": spec, "status": status});
    report(&serde_json::from_value(pod).unwrap())
}

fn container(name: &str, is_ready: bool, state: Value) -> Value {
    let mut container = json!({"name": name, "image": "i", "imageID": "i", "ready": is_ready, "restartCount": 0});
    container.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
    container
}

fn running() -> Value {
    json!({"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "started": true})
}

fn waits(reason: &str) -> Value {
    json!({"state": {"waiting": {"reason": reason, "message": "words"}}})
}

/// Ended, waiting to be started again.
fn crashed(message: &str) -> Value {
    json!({
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 4,
        "lastState": {"terminated": {"exitCode": 2, "message": message}},
    })
}

fn beside(agent: Value, worker: Value) -> PodReport {
    let of = |name: &str, state: Value| container(name, state["ready"] == true, state);
    pod(json!({"phase": "Running", "containerStatuses": [of("agent", agent), of("worker", worker)]}))
}

fn is_ready(mut state: Value) -> Value {
    state["ready"] = true.into();
    state
}

/// Reason and words of what stands in the way.
fn obstacle(pod: &PodReport) -> (Reason, String) {
    let obstacle = pod.obstacle.as_ref().unwrap();
    (obstacle.reason, obstacle.words.repeated(true))
}

#[test]
fn the_worker_is_read_wherever_other_containers_stand() {
    let failed = crashed(r#"{"reason":"FileMissing","message":"no config.json"}"#);
    let seen = beside(is_ready(running()), failed.clone());
    assert_eq!(
        obstacle(&seen),
        (Reason::Load(belfry_crds::contract::load_failure::LoadFailureReason::FileMissing), "no config.json".into())
    );
    assert_eq!((seen.restarts, seen.waiting), (4, Some("CrashLoopBackOff")));
    // A sidecar of the kind that starts first is listed among the init containers, and never ends.
    let native = pod(json!({
        "phase": "Running",
        "initContainerStatuses": [container("istio-proxy", true, running())],
        "containerStatuses": [container("worker", false, failed)],
    }));
    assert_eq!((native.restarts, native.waiting), (4, Some("CrashLoopBackOff")));
    assert_eq!(native.failure.unwrap().words.repeated(true), "no config.json");
}

#[test]
fn a_container_of_others_is_named_if_it_is_what_is_wrong() {
    let (reason, words) = obstacle(&beside(crashed("password=hunter2"), is_ready(running())));
    assert_eq!(reason, Reason::SidecarFailed);
    assert!(words.contains("container agent") && words.contains("exit status 2"), "{words}");
    assert!(!words.contains("hunter2"), "its words are not ours to repeat: {words}");
    let (reason, words) = obstacle(&beside(running(), is_ready(running())));
    assert_eq!(reason, Reason::SidecarFailed);
    assert!(words.contains("agent") && words.contains("not ready"), "{words}");
    let pull = beside(waits("ImagePullBackOff"), is_ready(running()));
    assert_eq!(obstacle(&pull), (Reason::ImagePullFailed, "container agent: words".into()));
    assert_eq!(pull.waiting, Some("ImagePullBackOff"));
    assert_eq!(
        beside(running(), running()).obstacle,
        None,
        "while the worker loads, a container beside it may be slow"
    );
}

#[test]
fn an_init_container_of_others_that_fails_or_lingers_is_named() {
    let before = |state: Value| {
        pod(json!({
            "phase": "Pending",
            "initContainerStatuses": [container("istio-init", false, state)],
            "containerStatuses": [container("worker", false, waits("PodInitializing"))],
        }))
    };
    assert_eq!(obstacle(&before(crashed(""))).0, Reason::SidecarFailed);
    assert_eq!(before(crashed("")).waiting, Some("CrashLoopBackOff"));
    assert_eq!(
        obstacle(&before(running())),
        (Reason::Loading, "the worker waits for the container istio-init to end".into())
    );
    assert_eq!(before(json!({"state": {"terminated": {"exitCode": 0}}})).obstacle, None);
}

#[test]
fn a_pod_that_ended_has_no_obstacle_and_waits_for_nothing() {
    let unschedulable = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
    let evicted = pod(json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory", "conditions": unschedulable,
        "containerStatuses": [container("worker", false, json!({
            "containerID": "containerd://1", "state": {"waiting": {"reason": "ContainerCreating"}},
        }))],
    }));
    assert_eq!((evicted.obstacle, evicted.waiting, evicted.node), (None, None, None));
    assert_eq!(evicted.stage, Stage::Ended);
    assert_eq!(pod(json!({"phase": "Succeeded"})).stage, Stage::Ended);
}

#[test]
fn a_pod_that_its_kubelet_refused_keeps_the_words() {
    let refused = pod(json!({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no devices"}));
    assert_eq!(refused.stage, Stage::Rejected("UnexpectedAdmissionError: no devices".into()));
    assert_eq!(pod(json!({"startTime": LOADED})).stage, Stage::Taken);
    assert_eq!(pod(json!({})).stage, Stage::New);
}

/// A running worker whose pod has these conditions.
fn with_conditions(conditions: Value, worker: Value) -> PodReport {
    let ready = worker["ready"] == true;
    pod(
        json!({"phase": "Running", "conditions": conditions, "containerStatuses": [container("worker", ready, worker)]}),
    )
}

#[test]
fn a_pod_whose_node_is_silent_says_so() {
    // The controller of nodes changes the status of Ready and nothing else.
    let lost = json!([
        {"type": "Ready", "status": "False", "lastTransitionTime": LOADED}, {"type": "ContainersReady", "status": "True"},
    ]);
    assert_eq!(obstacle(&with_conditions(lost, is_ready(running()))).0, Reason::NodeLost);
    let gate = json!([
        {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"}, {"type": "ContainersReady", "status": "True"},
    ]);
    assert_eq!(with_conditions(gate, is_ready(running())).obstacle, None, "a readiness gate is no lost node");
}

#[test]
fn a_worker_that_was_ready_and_is_silent_does_not_answer_and_one_that_never_was_loads() {
    let changed = |time: &str| {
        json!([
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": time},
            {"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady"},
        ])
    };
    assert_eq!(obstacle(&with_conditions(changed(LOADED), running())).0, Reason::NotAnswering);
    let before = "2025-12-31T23:59:59Z";
    assert_eq!(with_conditions(changed(before), running()).obstacle, None, "its pod was not ready since it started");
    let mut loading = running();
    loading["started"] = false.into();
    assert_eq!(with_conditions(changed(LOADED), loading).obstacle, None);
}

#[test]
fn the_last_line_of_a_crash_is_repeated_only_for_an_image_of_the_operators_choice() {
    let words = beside(is_ready(running()), crashed("first\nTOKEN=abc")).failure.unwrap().words;
    assert_eq!(words.repeated(true), "exit status 2: TOKEN=abc");
    assert!(!words.repeated(false).contains("abc"), "{words:?}");
    assert!(words.repeated(false).contains("kubectl logs"), "{words:?}");
    let long = beside(is_ready(running()), crashed(&"x".repeat(4096))).failure.unwrap().words;
    assert!(long.repeated(true).len() < 400);
}

#[test]
fn another_engines_words_are_never_repeated() {
    for message in ["TOKEN=abc", r#"{"reason":"FileMissing","message":"abc"}"#] {
        let status = json!({"phase": "Running", "containerStatuses": [container("worker", false, crashed(message))]});
        let spec = json!({"containers": [{"name": "worker", "image": "vllm"}]});
        let pod = json!({"metadata": {"name": "m-0"}, "spec": spec, "status": status});
        let report = report(&serde_json::from_value(pod).unwrap());
        let failure = report.failure.unwrap();
        assert_eq!(failure.reason, Reason::WorkerCrashed);
        for words in [failure.words, report.obstacle.unwrap().words] {
            assert!(!words.repeated(true).contains("abc"), "{words:?}");
        }
    }
}

#[test]
fn the_port_of_the_metrics_is_the_one_that_the_worker_names_so() {
    let of = |ports: Value| {
        let worker = json!({"name": "worker", "image": "w", "ports": ports});
        let agent = json!({"name": "agent", "image": "a", "ports": [{"name": "metrics", "containerPort": 15020}]});
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [agent, worker]}});
        report(&serde_json::from_value(pod).unwrap()).metrics_port
    };
    let http = json!({"name": "http", "containerPort": 8080});
    assert_eq!(of(json!([http.clone()])), None);
    assert_eq!(of(json!([http, {"name": "metrics", "containerPort": 9090}])), Some(9090));
}
