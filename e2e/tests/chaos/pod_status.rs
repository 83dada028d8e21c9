//! What a kubelet would say of a worker's pod.

use serde_json::{Value, json};

/// When pods and containers started.
pub(crate) const STARTED: &str = "2026-01-01T00:00:00Z";

fn with_container(phase: &str, mut container: Value) -> Value {
    container["name"] = json!("worker");
    for field in ["image", "imageID"] {
        container[field] = json!("belfry-worker");
    }
    json!({"phase": phase, "startTime": STARTED, "containerStatuses": [container]})
}

/// The container can't start, for this reason of the kubelet.
pub(crate) fn waiting(reason: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": "words"}});
    with_container("Pending", json!({"ready": false, "restartCount": 0, "state": state}))
}

/// The container ended like this, four times.
pub(crate) fn crashing(end: Value) -> Value {
    let state = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let container = json!({"ready": false, "restartCount": 4, "state": state, "lastState": {"terminated": end}});
    with_container("Running", container)
}

/// The container runs, and was started again so often; the pod has these conditions.
pub(crate) fn running(is_ready: bool, restarts: u32, conditions: Value) -> Value {
    let state = json!({"running": {"startedAt": STARTED}});
    let container = json!({"ready": is_ready, "started": true, "restartCount": restarts, "state": state});
    let mut status = with_container("Running", container);
    status["conditions"] = conditions;
    status
}

/// No node takes the pod.
pub(crate) fn unschedulable() -> Value {
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"});
    json!({"phase": "Pending", "conditions": [condition]})
}
