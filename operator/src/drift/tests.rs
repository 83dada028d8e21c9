//! What is rendered, and when.

use serde_json::json;

use super::*;

const ROLE: Role = Role::Address;

fn key() -> ModelKey {
    ModelKey { namespace: "search".into(), name: "minilm".into() }
}

fn model() -> InferenceModel {
    let object = json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel",
        "metadata": {"name": "minilm", "namespace": "search", "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {"task": "Embedding", "model": {"source": {"huggingFace": {"repo": "owner/name", "revision": "main"}}}},
    });
    serde_json::from_value(object).unwrap()
}

/// Whether the child had to be rendered for its summary.
fn renders(drift: &Drift, model: &InferenceModel) -> bool {
    let desired = drift.validate(model, None).unwrap();
    drift.summary(&key(), ROLE, &desired).unwrap().1.is_some()
}

#[test]
fn a_child_is_rendered_once_for_each_state_of_its_model() {
    let drift = Drift::new(Settings::default());
    let mut model = model();
    assert!(renders(&drift, &model) && !renders(&drift, &model));
    model.spec.replicas = Some(3);
    assert!(renders(&drift, &model) && !renders(&drift, &model));
    drift.forget(&key());
    assert!(renders(&drift, &model));
}

#[test]
fn the_first_status_pins_what_was_chosen_and_renders_no_child() {
    let drift = Drift::new(Settings::default());
    let mut model = model();
    assert!(renders(&drift, &model));
    let valid = drift.validate(&model, None).unwrap().model;
    let runtime = json!({
        "image": valid.runtime.image, "defaultImage": valid.runtime.default_image,
        "templateRevision": valid.runtime.template_revision.as_str(), "availableTemplateRevision": "any",
    });
    model.status =
        Some(serde_json::from_value(json!({"runtime": runtime, "replicas": 0, "readyReplicas": 0})).unwrap());
    assert!(!renders(&drift, &model));
}

#[test]
fn an_object_holds_what_is_wanted_if_it_has_the_hash_and_every_field() {
    let drift = Drift::new(Settings::default());
    let desired = drift.validate(&model(), None).unwrap();
    let object = drift.render(ROLE, &desired).unwrap().object.unwrap();
    let holds = |object: &DynamicObject| drift.holds(&key(), (ROLE.kind(), object), &model(), None);
    assert_eq!(holds(&object), metadata::hash_of(&object));
    let change = |edit: fn(&mut DynamicObject)| {
        let mut edited = object.clone();
        edit(&mut edited);
        holds(&edited)
    };
    assert_eq!(change(|object| object.data["spec"]["ports"] = json!([])), None);
    assert_eq!(change(|object| object.metadata.annotations = None), None, "another operator's, or an older one's");
    assert_eq!(change(|object| object.metadata.name = Some("other".into())), None);
}
