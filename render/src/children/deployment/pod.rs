//! The pod of a worker. It passes the Pod Security level `restricted` whatever the specification says.

use std::collections::BTreeMap;

use belfry_crds::contract::CACHE_MOUNT;
use belfry_crds::inference_model::RunAsUser;
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::metadata::{Component, add_labels, pod_labels};
use super::container::{container, some};
use super::{engine, placement, quality, source};
use crate::model::ValidModel;

/// User and group of the worker, as in the image.
const UID: i64 = 65_532;

/// Seconds between the end of the drain and SIGKILL.
const GRACE_SECONDS: i64 = 15;

/// The pod template of a model.
pub(super) fn template(model: &ValidModel) -> PodTemplateSpec {
    let (volumes, mounts) = volumes(model);
    let is_shared = source::writes_to_a_claim(&model.source);
    let uid = match model.pod_template.run_as_user.unwrap_or_default() {
        RunAsUser::Fixed => Some(UID),
        RunAsUser::Assigned => None,
    };
    let container = match &model.engine {
        None => container(model, mounts),
        Some(engine) => engine::container(model, engine, mounts),
    };
    PodTemplateSpec {
        metadata: Some(metadata(model)),
        spec: Some(PodSpec {
            service_account_name: Some(model.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: uid,
                run_as_group: uid,
                fs_group: uid.filter(|_| is_shared),
                fs_group_change_policy: uid.filter(|_| is_shared).map(|_| "OnRootMismatch".into()),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..Default::default() }),
                ..Default::default()
            }),
            termination_grace_period_seconds: Some(i64::from(model.rollout.drain_seconds) + GRACE_SECONDS),
            topology_spread_constraints: placement::spread(model),
            node_selector: some_map(&model.scheduling.node_selector),
            tolerations: placement::tolerations(model),
            affinity: placement::affinity(model),
            priority_class_name: model.availability.priority_class_name.clone(),
            runtime_class_name: model.scheduling.runtime_class_name.clone(),
            image_pull_secrets: some(
                model
                    .pod_template
                    .image_pull_secrets
                    .iter()
                    .map(|secret| LocalObjectReference { name: secret.name.clone() })
                    .collect(),
            ),
            init_containers: source::init_containers(model),
            containers: vec![container],
            volumes: Some(volumes),
            ..Default::default()
        }),
    }
}

fn metadata(model: &ValidModel) -> ObjectMeta {
    let mut metadata = ObjectMeta {
        labels: Some(pod_labels(model, Component::Worker)),
        annotations: some_map(&model.pod_template.annotations),
        ..Default::default()
    };
    add_labels(&mut metadata, &model.pod_template.labels);
    metadata
}

fn some_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

/// Volumes and mounts of the container: the model, the certificates of its download's authorities, the baseline of its texts, and
/// for other engines also scratch space and shared memory.
fn volumes(model: &ValidModel) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut all = vec![(source::volume(&model.source), source::mount(&model.source))];
    all.extend(source::authorities(&model.source));
    all.extend(quality::volume(model));
    if model.engine.is_some() {
        if model.source.download().is_none() {
            all.push(scratch("cache", CACHE_MOUNT, None));
        }
        // Processes of one engine exchange tensors here, and the default 64 MiB are too small. The space counts as memory.
        all.push(scratch("shm", "/dev/shm", Some("Memory")));
    }
    all.into_iter().unzip()
}

/// An empty volume that lives as long as the pod.
fn scratch(name: &str, path: &str, medium: Option<&str>) -> (Volume, VolumeMount) {
    let empty = EmptyDirVolumeSource { medium: medium.map(Into::into), ..Default::default() };
    (
        Volume { name: name.into(), empty_dir: Some(empty), ..Default::default() },
        VolumeMount { name: name.into(), mount_path: path.into(), ..Default::default() },
    )
}
