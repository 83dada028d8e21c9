//! The status of a model, from the facts of a pass.

use belfry_crds::InferenceModel;
use belfry_crds::condition::{ConditionType, Reason, find};
use belfry_crds::status::{ChildState, MovedFrom};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

mod contested;
mod evaluated;
mod foreign_scalers;
mod loaded;
mod pods;
mod selected;

use super::*;
use crate::apply::{Refusal, RefusalCause};
use crate::drift::Summary;
use crate::loaded::Identities;
use crate::observe::{DeploymentState, PodReport, ScalerReport, Stage, report};
use crate::scaling::MetricsAvailability;
use belfry_render::children::child;
use belfry_render::deployed::FromImage;
use belfry_render::role::Role;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;

fn model(change: &Value) -> ValidModel {
    let source = json!({"huggingFace": {"repo": "owner/name", "revision": "main"}});
    let mut spec = json!({"task": "Embedding", "model": {"source": source}, "replicas": 2});
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let metadata = json!({"name": "minilm", "namespace": "search", "uid": "u"});
    let object = json!({
        "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel", "metadata": metadata, "spec": spec,
    });
    let model: InferenceModel = serde_json::from_value(object).unwrap();
    validate(&model, &Settings::default()).unwrap()
}

/// A Deployment whose controller has seen its present generation.
fn deployment(replicas: i32, updated: i32) -> DeploymentState {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"generation": 3},
        "status": {
            "observedGeneration": 3, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            "updatedReplicas": updated,
        },
    });
    DeploymentState::of(&serde_json::from_value(object).unwrap())
}

fn ready_pods(count: i32) -> Vec<PodReport> {
    let pod = |number| PodReport {
        image: Settings::default().worker_image.into(),
        ..PodReport::ready(&format!("minilm-{number}"))
    };
    (0..count).map(pod).collect()
}

fn status_of(
    model: ValidModel,
    refused: Vec<Refusal>,
    deployment: &DeploymentState,
    pods: i32,
) -> InferenceModelStatus {
    status_with(model, refused, deployment, &ready_pods(pods))
}

fn status_with(
    model: ValidModel,
    refused: Vec<Refusal>,
    deployment: &DeploymentState,
    pods: &[PodReport],
) -> InferenceModelStatus {
    status_scaled(model, refused, deployment, pods, &ScalingFacts::default())
}

fn status_scaled(
    model: ValidModel,
    refused: Vec<Refusal>,
    deployment: &DeploymentState,
    pods: &[PodReport],
    scaling: &ScalingFacts,
) -> InferenceModelStatus {
    let answered = Some(Identities::new());
    status_loaded((model, refused), deployment, pods, (scaling, answered), None)
}

/// The status after the one before, with what the workers say.
fn status_loaded(
    (model, refused): (ValidModel, Vec<Refusal>),
    deployment: &DeploymentState,
    pods: &[PodReport],
    (scaling, identities): (&ScalingFacts, Option<Identities>),
    previous: Option<&InferenceModelStatus>,
) -> InferenceModelStatus {
    let summary = |role: &Role| {
        let child = child(*role, &model).unwrap();
        (*role, Summary { name: child.name.clone(), hash: child.hash() })
    };
    let wanted = Role::ALL.iter().map(summary).collect();
    let applied = Applied { refused, wanted, ..Applied::default() };
    let pass = Pass::Applied { model: Box::new(model), applied: Box::new(applied) };
    let deployment = Some(deployment);
    let facts = Facts {
        generation: Some(1),
        pass: &pass,
        deployment,
        scaling,
        pods,
        selection: Selection::Unknown,
        evaluated: Evaluated::NotAsked,
        identities,
    };
    status(&facts, previous, Timestamp::UNIX_EPOCH)
}

fn seen(status: &InferenceModelStatus, type_: ConditionType) -> (String, String) {
    let condition = find(&status.conditions, type_).unwrap();
    (condition.status.clone(), condition.reason.clone())
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_suspended_model_says_so_in_every_condition_about_its_pods() {
    let status = status_of(model(&json!({"suspend": true})), vec![], &deployment(0, 0), 0);
    for type_ in [ConditionType::Ready, ConditionType::ModelLoaded, ConditionType::Available] {
        assert_eq!(seen(&status, type_), is("False", "Suspended"), "{type_:?}");
    }
    assert_eq!(seen(&status, ConditionType::Progressing), is("True", "Suspended"));
    assert_eq!(status.loaded.as_deref(), Some("0/0"));
    let scaled = status_of(model(&json!({"replicas": 0})), vec![], &deployment(0, 0), 0);
    assert_eq!(seen(&scaled, ConditionType::Ready), is("False", "ScaledToZero"));
}

#[test]
fn a_paused_rollout_is_neither_stuck_nor_done() {
    let paused = || model(&json!({"rollout": {"paused": true}}));
    let waiting = status_of(paused(), vec![], &deployment(2, 0), 2);
    assert_eq!(seen(&waiting, ConditionType::Progressing), is("Unknown", "Paused"));
    assert_eq!(seen(&waiting, ConditionType::Ready), is("False", "Paused"));
    assert_eq!(seen(&waiting, ConditionType::Available), is("True", "ReplicasAvailable"));
    let complete = status_of(paused(), vec![], &deployment(2, 2), 2);
    assert_eq!(seen(&complete, ConditionType::Progressing), is("True", "Paused"));
    assert_eq!(seen(&complete, ConditionType::Ready), is("True", "Serving"));
}

#[test]
fn a_child_that_a_quota_refuses_is_reported_with_kind_name_and_cure() {
    let message = "services \"minilm\" is forbidden: exceeded quota: few, requested: services=1".to_owned();
    let refusal =
        Refusal { role: Role::Address, name: "minilm".into(), cause: RefusalCause::Api { code: 403, message } };
    let status = status_of(model(&json!({})), vec![refusal], &deployment(2, 2), 2);
    assert_eq!(seen(&status, ConditionType::SpecAccepted), is("False", "QuotaExceeded"));
    let condition = find(&status.conditions, ConditionType::SpecAccepted).unwrap();
    for part in ["Service minilm", "exceeded quota: few", "raise the quota"] {
        assert!(condition.message.contains(part), "{}", condition.message);
    }
}

#[test]
fn every_child_is_listed_with_its_hash_and_state() {
    let missing = Refusal { role: Role::Monitor, name: "minilm".into(), cause: RefusalCause::KindMissing };
    let foreign = Refusal { role: Role::Address, name: "minilm".into(), cause: RefusalCause::NameConflict };
    let status = status_of(model(&json!({})), vec![missing, foreign], &deployment(2, 2), 2);
    let kinds: Vec<_> = status.children.iter().map(|child| child.kind.as_str()).collect();
    let always = Role::ALL.iter().filter(|role| !role.is_scaler() && **role != Role::Routing);
    assert_eq!(kinds, always.map(|role| role.kind().as_str()).collect::<Vec<_>>());
    for child in &status.children {
        let expected = match child.kind.as_str() {
            "ServiceMonitor" => (ChildState::Missing, Some("CustomResourceDefinitionMissing")),
            "Service" => (ChildState::Refused, Some("NameConflict")),
            _ => (ChildState::Applied, None),
        };
        assert_eq!((child.state, child.reason.as_deref()), expected, "{}", child.kind);
        assert_eq!(child.hash.len(), 16, "{}", child.kind);
    }
}

#[test]
fn routing_is_reported_where_it_is_asked_for_and_missed_where_the_cluster_does_not_know_it() {
    let paged = || model(&json!({"observability": {"alertmanager": {}}}));
    let message = |status: &InferenceModelStatus| {
        find(&status.conditions, ConditionType::MonitoringReady).unwrap().message.clone()
    };
    let status = status_of(paged(), vec![], &deployment(2, 2), 2);
    assert!(message(&status).contains("AlertmanagerConfig"), "{}", message(&status));
    let role = Role::Routing;
    let missing = Refusal { role, name: "minilm".into(), cause: RefusalCause::KindMissing };
    let status = status_of(paged(), vec![missing], &deployment(2, 2), 2);
    let monitoring = seen(&status, ConditionType::MonitoringReady);
    assert_eq!(monitoring, is("False", "CustomResourceDefinitionMissing"));
    assert!(message(&status).contains("does not know AlertmanagerConfig"), "{}", message(&status));
    assert_eq!(seen(&status, ConditionType::Ready), is("True", "Serving"));
}

#[test]
fn a_child_that_is_not_wanted_is_not_listed() {
    let without = model(&json!({
        "observability": {"dashboard": {"enabled": false}}, "network": {"networkPolicy": {"mode": "None"}},
    }));
    let status = status_of(without, vec![], &deployment(2, 2), 2);
    assert!(!status.children.iter().any(|child| ["ConfigMap", "NetworkPolicy"].contains(&child.kind.as_str())));
}

#[test]
fn the_requested_model_is_one_line() {
    let status = status_of(model(&json!({})), vec![], &deployment(2, 2), 2);
    assert_eq!(status.model.unwrap().requested, "owner/name@main");
}

fn scaled(more: &Value) -> ValidModel {
    let mut scaling = json!({"minReplicas": 2, "maxReplicas": 6});
    scaling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    model(&json!({"replicas": null, "autoscaling": scaling}))
}

fn facts(metrics: MetricsAvailability) -> ScalingFacts {
    ScalingFacts {
        scaler: Some(ScalerReport { is_observed: true, obstacle: None }),
        metrics,
        ..ScalingFacts::default()
    }
}

#[test]
fn a_scaled_model_wants_what_the_scaler_asked_for_and_remembers_it() {
    let mut deployment = deployment(4, 4);
    deployment.replicas = Some(4);
    let status =
        status_scaled(scaled(&json!({})), vec![], &deployment, &ready_pods(4), &facts(MetricsAvailability::Served));
    assert_eq!((status.loaded.as_deref(), status.scaled_replicas), (Some("4/4"), Some(4)));
    assert_eq!(seen(&status, ConditionType::ScalingReady), is("True", "ScalerActive"));
    assert_eq!(seen(&status, ConditionType::Ready), is("True", "Serving"));
}

#[test]
fn a_scaler_without_metrics_is_not_ready_and_the_model_serves_on() {
    for (metrics, reason) in [
        (MetricsAvailability::Missing, "MetricsMissing"),
        (MetricsAvailability::Unavailable("no APIService".into()), "ExternalMetricsUnavailable"),
    ] {
        let mut deployment = deployment(2, 2);
        deployment.replicas = Some(2);
        let status = status_scaled(scaled(&json!({})), vec![], &deployment, &ready_pods(2), &facts(metrics));
        assert_eq!(seen(&status, ConditionType::ScalingReady), is("False", reason));
        assert_eq!(seen(&status, ConditionType::Ready), is("True", "Serving"));
    }
}

#[test]
fn a_cluster_without_keda_says_what_to_install_and_accepts_the_specification() {
    let keda = scaled(&json!({"provider": "KEDA", "prometheusAddress": "http://prometheus:9090"}));
    let refusal = Refusal { role: Role::KedaScaler, name: "minilm".into(), cause: RefusalCause::KindMissing };
    let status = status_of(keda, vec![refusal], &deployment(2, 2), 2);
    assert_eq!(seen(&status, ConditionType::ScalingReady), is("False", "CustomResourceDefinitionMissing"));
    assert_eq!(seen(&status, ConditionType::SpecAccepted), is("True", "Valid"));
}

#[test]
fn a_model_without_a_scaler_has_no_condition_about_one() {
    let status = status_of(model(&json!({})), vec![], &deployment(2, 2), 2);
    assert!(find(&status.conditions, ConditionType::ScalingReady).is_none());
}

#[test]
fn the_number_of_a_scaler_that_was_removed_is_taken_over_once() {
    let object = |spec: Value| {
        let mut all = json!({"task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        InferenceModel::new("m", serde_json::from_value(all).unwrap())
    };
    let mut deployment = deployment(5, 5);
    deployment.replicas = Some(5);
    let mut model = object(json!({}));
    let taken_over = left_behind(&model, true, Some(&deployment));
    assert_eq!(taken_over.as_ref().and_then(|status| status.scaled_replicas), Some(5));
    model.status = taken_over;
    assert_eq!(left_behind(&model, true, Some(&deployment)), None);
    assert_eq!(left_behind(&object(json!({})), false, Some(&deployment)), None);
    for spec in [json!({"replicas": 2}), json!({"autoscaling": {"maxReplicas": 9}})] {
        assert_eq!(left_behind(&object(spec), true, Some(&deployment)), None);
    }
}

#[test]
fn a_model_on_an_older_image_shows_that_there_is_a_newer_one() {
    let mut behind = model(&json!({}));
    behind.runtime.available_image = "worker:new".into();
    let shown = runtime(&behind, None);
    assert_eq!((shown.upgrade, shown.available_default_image.as_str()), (Upgrade::Available, "worker:new"));
    let mut own_image = model(&json!({"runtime": {"image": "mine:1"}}));
    own_image.runtime.available_image = "worker:new".into();
    assert_eq!(runtime(&own_image, None).upgrade, Upgrade::UpToDate, "its pods would stay as they are");
}

#[test]
fn where_a_model_was_moved_from_is_remembered_until_it_moves_again() {
    let from = MovedFrom { template_revision: "1".into(), default_image: "worker:old".into() };
    let moved = RuntimeStatus { moved_from: Some(from.clone()), ..runtime(&model(&json!({})), None) };
    assert_eq!(runtime(&model(&json!({})), Some(&moved)).moved_from, Some(from));
    let elsewhere = RuntimeStatus { default_image: "worker:other".into(), ..moved };
    assert_eq!(runtime(&model(&json!({})), Some(&elsewhere)).moved_from, None);
}

#[test]
fn a_source_of_every_kind_is_one_line() {
    for (source, line) in [
        (json!({"s3": {"uri": "s3://models/a/b"}}), "s3://models/a/b"),
        (json!({"pvc": {"claimName": "c", "path": "a/b/"}}), "pvc/c/a/b"),
        (json!({"oci": {"image": "r/m:1"}}), "r/m:1"),
        (json!({"oci": {"image": "r/m:1", "path": "./a/"}}), "r/m:1:/a"),
    ] {
        let status = status_of(model(&json!({"model": {"source": source}})), vec![], &deployment(2, 2), 2);
        assert_eq!(status.model.unwrap().requested, line);
    }
}

#[test]
fn a_cluster_that_forgot_the_image_to_mount_is_reported_before_the_worker_that_misses_its_files() {
    let oci = |mount: &str| {
        let source = json!({"oci": {"image": "r/m:1", "path": "a", "mount": mount}});
        let ill = [PodReport { is_ready: false, ..ready_pods(1).remove(0) }];
        let mut forgotten = deployment(1, 1);
        forgotten.deployed.from_image = FromImage::Forgotten;
        status_with(model(&json!({"model": {"source": source}})), vec![], &forgotten, &ill)
    };
    assert_eq!(seen(&oci("ImageVolume"), ConditionType::Ready), is("False", "ImageVolumesMissing"));
    assert_eq!(seen(&oci("InitContainerCopy"), ConditionType::SpecAccepted), is("True", "Valid"));
}

#[test]
fn only_workers_of_the_wanted_digest_count_as_loaded() {
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    let source = json!({"pvc": {"claimName": "c"}});
    let wanted = || model(&json!({"model": {"source": source, "sha256": new}}));
    let pods = |digests: [&str; 2]| {
        let digests = digests.map(|digest| Some(digest.to_owned()).filter(|digest| !digest.is_empty()));
        ready_pods(2).into_iter().zip(digests).map(|(pod, sha256)| PodReport { sha256, ..pod }).collect::<Vec<_>>()
    };
    for (digests, loaded) in [([&old, ""], "0/2"), ([&old, &new], "1/2"), ([new.as_str(), &new], "2/2")] {
        let status = status_with(wanted(), vec![], &deployment(2, 2), &pods(digests));
        assert_eq!(status.loaded.as_deref(), Some(loaded));
        assert_eq!(status.model.unwrap().sha256.as_deref(), Some(new.as_str()));
    }
    let any = status_with(model(&json!({})), vec![], &deployment(2, 2), &pods([&old, &new]));
    assert_eq!(any.loaded.as_deref(), Some("2/2"));
}

/// A pod whose model is copied out of an image, with these states of the copy and of the worker.
fn copying(copy: &Value, worker: &Value) -> PodReport {
    let container = |name: &str, state: &Value| {
        let mut container = json!({"name": name, "image": "i", "imageID": "i", "ready": false, "restartCount": 0});
        container.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        json!([container])
    };
    let env = json!([{"name": "BELFRY_MODEL_SHA256", "value": "c".repeat(64)}]);
    let pod = json!({
        "metadata": {"name": "minilm-0"},
        "spec": {"containers": [{"name": "worker", "env": env}]},
        "status": {
            "initContainerStatuses": container("copy-model", copy),
            "containerStatuses": container("worker", worker),
        },
    });
    report(&serde_json::from_value(pod).unwrap())
}

#[test]
fn a_copy_that_stands_in_the_way_is_reported_before_the_worker_that_waits_for_it() {
    let initializing = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
    let pull = json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}});
    assert_eq!(copying(&pull, &initializing).obstacle.unwrap().reason, Reason::ImagePullFailed);
    let failed = json!({
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "message": "cp: can't stat '/m/.': No such file or directory\n"}},
    });
    let obstacle = copying(&failed, &initializing).obstacle.unwrap();
    assert_eq!(obstacle.reason, Reason::WorkerCrashed);
    let words = obstacle.words.repeated(true);
    assert!(words.contains("can't stat '/m/.'"), "{words}");
    let done = json!({"state": {"terminated": {"exitCode": 0}}});
    let report = copying(&done, &pull);
    assert_eq!(report.obstacle.unwrap().reason, Reason::ImagePullFailed);
    assert_eq!(report.sha256, Some("c".repeat(64)));
}
