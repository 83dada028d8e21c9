//! What is in a namespace, for the reader of a test that failed.

use std::fmt::Write as _;

use belfry_crds::InferenceModel;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::Namespace;

/// Events to show, newest last.
const EVENTS: usize = 30;

/// Conditions, pods and events. What can't be had is left out.
pub async fn namespace(namespace: &Namespace) -> String {
    let mut text = String::new();
    let all = ListParams::default();
    for model in namespace.api::<InferenceModel>().list(&all).await.into_iter().flatten() {
        for condition in model.status.iter().flat_map(|status| &status.conditions) {
            let (type_, status) = (&condition.type_, &condition.status);
            line(
                &mut text,
                &format!("{} {type_}={status} {}: {}", model.name_any(), condition.reason, condition.message),
            );
        }
    }
    for pod in namespace.api::<Pod>().list(&all).await.into_iter().flatten() {
        let status = pod.status.clone().unwrap_or_default();
        line(&mut text, &format!("pod {} {}", pod.name_any(), status.phase.unwrap_or_default()));
        for condition in status.conditions.into_iter().flatten().filter(|condition| condition.status != "True") {
            let cause = format!("{} {}", condition.reason.unwrap_or_default(), condition.message.unwrap_or_default());
            line(&mut text, &format!("  {}={} {cause}", condition.type_, condition.status));
        }
        for container in status.container_statuses.into_iter().flatten() {
            line(&mut text, &container_line(&container));
        }
    }
    let events = namespace.api::<Event>().list(&all).await.map(|list| list.items).unwrap_or_default();
    for event in events.iter().rev().take(EVENTS).rev() {
        let about = event.regarding.clone().unwrap_or_default();
        let (kind, name) = (about.kind.unwrap_or_default(), about.name.unwrap_or_default());
        let reason = event.reason.clone().unwrap_or_default();
        line(&mut text, &format!("event {kind} {name} {reason}: {}", event.note.clone().unwrap_or_default()));
    }
    text
}

fn container_line(container: &ContainerStatus) -> String {
    let (state, last) = (json!(container.state), json!(container.last_state));
    format!("  {} restarts={} state={state} last={last}", container.name, container.restart_count)
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {line}");
}
