//! Whose turn it is, step by step.

use std::sync::Arc;

use belfry_render::template::TemplateRevision;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;

const ONE: Policy = Policy { at_once: 1, soak_seconds: 60 };

fn settings() -> Settings {
    Settings { worker_image: "worker:new".into(), ..Settings::default() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A model that is well on the image before, with a change of its specification.
fn model_with(name: &str, change: &Value) -> InferenceModel {
    let source = json!({"huggingFace": {"repo": "owner/name", "revision": "main"}});
    let mut spec = json!({"task": "Embedding", "model": {"source": source}});
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let conditions: Vec<_> = ["Ready", "Available"]
        .iter()
        .map(|type_| {
            json!({
                "type": type_, "status": "True", "reason": "Serving", "message": "",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            })
        })
        .collect();
    let runtime = json!({
        "image": "worker:old", "defaultImage": "worker:old", "templateRevision": "1",
        "availableTemplateRevision": TemplateRevision::NEWEST.as_str(),
        "availableDefaultImage": "worker:new", "upgrade": "Available",
    });
    serde_json::from_value(json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel",
        "metadata": {"name": name, "namespace": "search", "generation": 1},
        "spec": spec,
        "status": {"observedGeneration": 1, "conditions": conditions, "runtime": runtime},
    }))
    .unwrap()
}

fn model(name: &str) -> InferenceModel {
    model_with(name, &json!({}))
}

fn set(model: &mut InferenceModel, type_: ConditionType, status: &str, second: i64) {
    let conditions = &mut model.status.as_mut().unwrap().conditions;
    let condition = conditions.iter_mut().find(|condition| condition.type_ == type_.as_str()).unwrap();
    (condition.status, condition.last_transition_time) = (status.into(), Time(at(second)));
}

fn moves(model: &mut InferenceModel, second: i64) {
    model.status = Some(moved(model.status.as_ref().unwrap(), &settings(), at(second)));
}

fn turn(models: &[InferenceModel], policy: Policy, second: i64) -> Vec<String> {
    turn_beside(models, policy, &[], second)
}

fn turn_beside(models: &[InferenceModel], policy: Policy, burning: &[&str], second: i64) -> Vec<String> {
    let models: Vec<_> = models.iter().cloned().map(Arc::new).collect();
    let key = |name: &&str| ModelKey { namespace: "search".into(), name: (*name).into() };
    let burning = burning.iter().map(key).collect();
    due(&models, policy, &settings(), &burning, at(second)).into_iter().map(ResourceExt::name_any).collect()
}

#[test]
fn the_next_model_moves_when_the_one_before_has_been_ready_for_the_soak_time() {
    let mut models = [model("a"), model("b"), model("c")];
    assert_eq!(turn(&models, ONE, 100), ["a"]);
    moves(&mut models[0], 100);
    assert_eq!(turn(&models, ONE, 500), [""; 0], "it is not ready yet");
    set(&mut models[0], ConditionType::Ready, "True", 500);
    assert_eq!(turn(&models, ONE, 559), [""; 0], "it has not been ready for long enough");
    assert_eq!(turn(&models, ONE, 560), ["b"]);
}

#[test]
fn no_more_models_are_under_way_than_are_allowed() {
    let mut models = [model("a"), model("b"), model("c"), model("d")];
    let two = Policy { at_once: 2, ..ONE };
    assert_eq!(turn(&models, two, 100), ["a", "b"]);
    moves(&mut models[0], 100);
    assert_eq!(turn(&models, two, 100), ["b"]);
    moves(&mut models[1], 100);
    assert_eq!(turn(&models, two, 100), [""; 0]);
}

#[test]
fn a_moved_model_that_does_not_answer_stops_the_others_also_after_its_soak_time() {
    let mut models = [model("a"), model("b"), model("c")];
    let many = Policy { at_once: 9, ..ONE };
    moves(&mut models[0], 100);
    set(&mut models[0], ConditionType::Ready, "True", 110);
    set(&mut models[0], ConditionType::Available, "False", 1000);
    assert_eq!(turn(&models, many, 2000), [""; 0]);
    set(&mut models[0], ConditionType::Available, "True", 2000);
    assert_eq!(turn(&models, many, 2001), ["b", "c"]);
}

#[test]
fn a_moved_model_that_breaks_its_objective_stops_the_others_and_one_that_never_moved_stops_itself() {
    let mut models = [model("a"), model("b"), model("c")];
    assert_eq!(turn_beside(&models, ONE, &["a"], 100), ["b"]);
    moves(&mut models[0], 100);
    set(&mut models[0], ConditionType::Ready, "True", 110);
    assert_eq!(turn_beside(&models, ONE, &["a"], 1000), [""; 0]);
    assert_eq!(turn_beside(&models, ONE, &["b"], 1000), ["c"]);
    assert_eq!(turn_beside(&models, ONE, &[], 1000), ["b"]);
}

#[test]
fn a_model_that_was_ill_before_waits_and_holds_no_other_up() {
    let mut models = [model("a"), model("b")];
    set(&mut models[0], ConditionType::Ready, "False", 50);
    set(&mut models[0], ConditionType::Available, "False", 50);
    assert_eq!(turn(&models, ONE, 100), ["b"]);
}

#[test]
fn who_is_paused_or_names_a_revision_stays() {
    let held = [
        model_with("a", &json!({"rollout": {"paused": true}})),
        model_with("b", &json!({"runtime": {"templateRevision": "1"}})),
    ];
    assert_eq!(turn(&held, Policy { at_once: 9, ..ONE }, 100), [""; 0]);
}

#[test]
fn a_specification_that_no_pass_has_seen_waits() {
    let mut changed = model("a");
    changed.metadata.generation = Some(2);
    assert_eq!(turn(&[changed], ONE, 100), [""; 0]);
}

#[test]
fn a_model_without_pods_moves_and_does_not_make_the_next_one_wait() {
    let mut models = [model_with("a", &json!({"suspend": true})), model("b")];
    for condition in &mut models[0].status.as_mut().unwrap().conditions {
        (condition.status, condition.reason) = ("False".into(), Reason::Suspended.as_str().into());
    }
    assert_eq!(turn(&models, ONE, 100), ["a"]);
    moves(&mut models[0], 100);
    assert_eq!(turn(&models, ONE, 101), ["b"]);
}

#[test]
fn a_status_that_another_version_of_the_operator_wrote_moves_nothing() {
    let mut model = model("a");
    model.status.as_mut().unwrap().runtime.as_mut().unwrap().available_default_image = "worker:other".into();
    assert_eq!(turn(&[model], ONE, 100), [""; 0]);
}

#[test]
fn a_model_that_moves_is_not_ready_and_remembers_where_it_was() {
    let mut model = model("a");
    moves(&mut model, 100);
    let runtime = runtime(&model).unwrap();
    assert_eq!((runtime.default_image.as_str(), runtime.upgrade), ("worker:new", Upgrade::UpToDate));
    assert_eq!(runtime.moved_from.as_ref().unwrap().default_image, "worker:old");
    assert!(!is_well(&model));
    assert_eq!(condition(&model, ConditionType::Ready).unwrap().last_transition_time, Time(at(100)));
}
