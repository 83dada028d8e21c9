//! What the cache makes of answers and events, in whatever order they come.

use serde_json::json;

use super::*;

const KIND: ChildKind = ChildKind::Service;

fn model() -> InferenceModel {
    let object = json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel",
        "metadata": {"name": "minilm", "namespace": "search", "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {"task": "Embedding", "model": {"source": {"huggingFace": {"repo": "owner/name", "revision": "main"}}}},
    });
    serde_json::from_value(object).unwrap()
}

fn cache() -> (Cache, ModelKey) {
    let cache = Cache::new(Settings::default());
    cache.model_seen(model());
    (cache, ModelKey { namespace: "search".into(), name: "minilm".into() })
}

fn service(version: &str) -> DynamicObject {
    let valid = validate(&model(), &Settings::default()).unwrap();
    let mut object = child(KIND, &valid).unwrap().object.unwrap();
    object.metadata.resource_version = Some(version.into());
    object
}

fn edited(version: &str) -> DynamicObject {
    let mut object = service(version);
    object.data["spec"]["ports"] = json!([]);
    object
}

fn held(cache: &Cache, key: &ModelKey) -> Option<String> {
    cache.observed(key).unwrap().children.get(&(KIND, "minilm".into())).unwrap().holds.clone()
}

#[test]
fn a_state_of_a_model_that_is_known_is_no_news() {
    let (cache, _) = cache();
    assert!(!cache.model_seen(model()));
    let mut edited = model();
    edited.metadata.resource_version = Some("2".into());
    assert!(cache.model_seen(edited));
}

/// A write that is answered after the watch has shown these versions.
fn write(cache: &Cache, key: &ModelKey, seen_before: &[&str]) {
    cache.child_sent(key, KIND);
    for version in seen_before {
        cache.child_seen(key, KIND, &service(version));
        assert_eq!(held(cache, key), None);
    }
    cache.child_applied(key, (KIND, "minilm".into()), Live::applied(&service("5")), None);
    cache.child_answered(key, KIND);
}

#[test]
fn the_event_of_an_own_write_of_a_child_is_no_news_and_an_edit_after_it_is() {
    let (cache, key) = cache();
    write(&cache, &key, &[]);
    assert_eq!(cache.child_seen(&key, KIND, &service("5")), None);
    assert!(held(&cache, &key).is_some());
    assert_eq!(cache.child_seen(&key, KIND, &edited("6")), Some(Urgency::Children));
    assert_eq!(held(&cache, &key), None);
}

#[test]
fn an_answer_tells_what_a_child_holds_also_when_the_watch_was_faster() {
    for seen_before in [&["5"][..], &["5", "6"]] {
        let (cache, key) = cache();
        write(&cache, &key, seen_before);
        assert!(held(&cache, &key).is_some(), "the watch showed {seen_before:?}");
    }
}

#[test]
fn an_answer_tells_nothing_of_a_later_edit() {
    let (cache, key) = cache();
    cache.child_sent(&key, KIND);
    cache.child_seen(&key, KIND, &service("5"));
    cache.child_seen(&key, KIND, &edited("6"));
    cache.child_applied(&key, (KIND, "minilm".into()), Live::applied(&service("5")), None);
    assert_eq!(held(&cache, &key), None);
}

#[test]
fn an_edit_is_news_and_is_held_against_what_is_wanted() {
    let (cache, key) = cache();
    assert_eq!(cache.child_seen(&key, KIND, &service("5")), Some(Urgency::Children));
    assert!(held(&cache, &key).is_some());
    assert_eq!(cache.child_seen(&key, KIND, &edited("6")), Some(Urgency::Children));
    assert_eq!(held(&cache, &key), None);
}

#[test]
fn the_first_status_pins_what_was_chosen_and_changes_no_child() {
    let (cache, key) = cache();
    let before = cache.observed(&key).unwrap().wanted;
    let valid = validate(&model(), &Settings::default()).unwrap();
    let mut next = model();
    next.metadata.resource_version = Some("2".into());
    let runtime = json!({
        "image": valid.runtime.image, "defaultImage": valid.runtime.default_image,
        "templateRevision": valid.runtime.template_revision.as_str(), "availableTemplateRevision": "any",
    });
    next.status = Some(serde_json::from_value(json!({"runtime": runtime, "replicas": 0, "readyReplicas": 0})).unwrap());
    cache.model_seen(next.clone());
    assert!(Arc::ptr_eq(&before, &cache.observed(&key).unwrap().wanted));
    next.metadata.generation = Some(2);
    next.metadata.resource_version = Some("3".into());
    cache.model_seen(next);
    assert!(!Arc::ptr_eq(&before, &cache.observed(&key).unwrap().wanted));
}
