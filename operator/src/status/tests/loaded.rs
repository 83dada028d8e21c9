//! What the workers say that they have loaded.

use super::*;
use crate::loaded::Identity;

/// A model with two replicas that answer, of which each said that.
fn with_loaded(
    identities: Option<&[&str]>,
    updated: i32,
    previous: Option<&InferenceModelStatus>,
) -> InferenceModelStatus {
    let pods = ready_pods(2);
    let said = |(pod, digest): (&PodReport, &&str)| {
        (pod.name.clone(), Identity { digest: (*digest).to_owned(), revision: format!("commit-{digest}") })
    };
    let identities = identities.map(|digests| pods.iter().zip(digests).map(said).collect());
    let scaling = ScalingFacts::default();
    status_loaded((model(&json!({})), vec![]), &deployment(2, updated), &pods, (&scaling, identities), previous)
}

#[test]
fn what_the_workers_have_in_memory_is_shown_beside_what_was_asked_for() {
    let status = with_loaded(Some(&["aa", "aa"]), 2, None);
    let model = status.model.clone().unwrap();
    let entry = LoadedModel { sha256: "aa".into(), revision: Some("commit-aa".into()), replicas: 2 };
    assert_eq!((model.requested.as_str(), model.loaded), ("owner/name@main", vec![entry]));
    assert_eq!(seen(&status, ConditionType::ModelLoaded), is("True", "Loaded"));
    assert_eq!(with_loaded(Some(&[]), 2, None).model.unwrap().loaded, [], "no worker could be asked");
}

#[test]
fn replicas_with_different_models_are_not_ready_and_the_message_names_the_models_and_the_field() {
    let status = with_loaded(Some(&["aa", "bb"]), 2, None);
    assert_eq!(seen(&status, ConditionType::ModelLoaded), is("False", "ReplicasDiffer"));
    assert_eq!(seen(&status, ConditionType::Ready), is("False", "ReplicasDiffer"));
    let message = &find(&status.conditions, ConditionType::ModelLoaded).unwrap().message;
    for part in ["commit-aa (aa)", "commit-bb (bb)", "spec.model.source.huggingFace.revision"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(seen(&with_loaded(Some(&["aa", "bb"]), 1, None), ConditionType::ModelLoaded), is("True", "Loaded"));
}

#[test]
fn what_is_known_of_the_workers_stays_while_an_operator_that_started_asks_them() {
    for digests in [["aa", "aa"], ["aa", "bb"]] {
        let before = with_loaded(Some(&digests), 2, None);
        assert_eq!(with_loaded(None, 2, Some(&before)), before);
    }
}
