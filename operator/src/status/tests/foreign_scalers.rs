//! A scaler that others made for the workers.

use super::*;
use crate::observe::{ForeignScaler, ScaleTarget};
use belfry_render::validate::wanted_replicas;

fn scaler(target: ScaleTarget) -> ForeignScaler {
    ForeignScaler { name: "team-hpa".into(), target }
}

fn with(model: ValidModel, target: ScaleTarget, names_replicas: bool) -> InferenceModelStatus {
    let scaling = ScalingFacts { foreign: vec![scaler(target)], names_replicas, ..ScalingFacts::default() };
    let mut deployment = deployment(3, 3);
    deployment.replicas = Some(3);
    status_scaled(model, vec![], &deployment, &ready_pods(3), &scaling)
}

fn message(status: &InferenceModelStatus) -> String {
    find(&status.conditions, ConditionType::ScalingReady).unwrap().message.clone()
}

#[test]
fn a_scaler_of_the_deployment_is_named_and_gets_the_number_of_replicas() {
    let scaled = ValidModel { is_scaled_by_others: true, ..model(&json!({"replicas": 1})) };
    assert_eq!(scaled.owned_replicas(), None, "the operator leaves the number to it");
    let status = with(scaled, ScaleTarget::Deployment, true);
    assert_eq!(seen(&status, ConditionType::ScalingReady), is("False", "ForeignScaler"));
    assert!(message(&status).contains("team-hpa"), "{}", message(&status));
    assert_eq!(seen(&status, ConditionType::Ready), is("True", "Serving"));
    assert_eq!((status.scaled_by.as_deref(), status.scaled_replicas), (Some("team-hpa"), Some(3)));
    assert_eq!(status.loaded.as_deref(), Some("3/3"));
}

#[test]
fn it_is_named_beside_a_scaler_of_the_model_too() {
    let status = with(scaled(&json!({})), ScaleTarget::Deployment, false);
    assert_eq!(seen(&status, ConditionType::ScalingReady), is("False", "ForeignScaler"));
    assert!(message(&status).contains("remove spec.autoscaling"), "{}", message(&status));
}

#[test]
fn a_scaler_of_the_model_itself_has_to_find_a_number_there() {
    let status = with(model(&json!({"replicas": null})), ScaleTarget::Model, false);
    assert_eq!(seen(&status, ConditionType::ScalingReady), is("False", "ScalerFailed"));
    assert!(message(&status).contains("set spec.replicas"), "{}", message(&status));
    assert_eq!(status.scaled_by, None, "the operator applies what it writes into the specification");
    let works = with(model(&json!({"replicas": 3})), ScaleTarget::Model, true);
    assert!(find(&works.conditions, ConditionType::ScalingReady).is_none());
}

#[test]
fn the_status_says_who_decides_before_a_child_is_built_and_once() {
    let spec = json!({"task": "Embedding", "replicas": 1, "model": {"source": {"pvc": {"claimName": "c"}}}});
    let mut model = InferenceModel::new("m", serde_json::from_value(spec).unwrap());
    let mut live = deployment(3, 3);
    live.replicas = Some(3);
    let came = [scaler(ScaleTarget::Deployment)];
    model.status = released(&model, &came, Some(&live));
    assert_eq!(wanted_replicas(&model.spec, model.status.as_ref()), 3, "series show what is wanted");
    assert_eq!(released(&model, &came, Some(&live)), None);
    let gone = released(&model, &[], Some(&live)).unwrap();
    assert_eq!((gone.scaled_by.as_ref(), wanted_replicas(&model.spec, Some(&gone))), (None, 1));
    assert_eq!(released(&model, &[scaler(ScaleTarget::Model)], Some(&live)).unwrap().scaled_by, None);
}
