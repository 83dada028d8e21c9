//! The pod of a worker. It passes the Pod Security level `restricted` whatever the specification says.

use belfry_crds::contract::{CACHE_MOUNT, DRAIN_TIMEOUT_SECONDS, MODEL_MOUNT};
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec,
    SeccompProfile, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::meta::{Component, pod_labels, selector};
use super::container::container;
use crate::validate::{ValidModel, ValidSource};

/// User and group of the worker; the image's own.
const UID: i64 = 65_532;

/// Seconds between the end of the drain and SIGKILL.
const GRACE_SECONDS: i64 = 15;

/// The pod template of a model.
pub(super) fn template(model: &ValidModel) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(pod_labels(model, Component::Worker)), ..Default::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(model.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(UID),
                run_as_group: Some(UID),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..Default::default() }),
                ..Default::default()
            }),
            termination_grace_period_seconds: Some(i64::from(DRAIN_TIMEOUT_SECONDS) + GRACE_SECONDS),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".into(),
                when_unsatisfiable: "ScheduleAnyway".into(),
                label_selector: Some(selector(model)),
                ..Default::default()
            }]),
            containers: vec![container(model, vec![volume(&model.source).1])],
            volumes: Some(vec![volume(&model.source).0]),
            ..Default::default()
        }),
    }
}

/// The volume that the model is read from, and where the worker sees it.
fn volume(source: &ValidSource) -> (Volume, VolumeMount) {
    match source {
        ValidSource::Pvc { claim_name, .. } => (
            Volume {
                name: "model".into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim_name.clone(),
                    read_only: Some(true),
                }),
                ..Default::default()
            },
            VolumeMount {
                name: "model".into(),
                mount_path: MODEL_MOUNT.into(),
                read_only: Some(true),
                ..Default::default()
            },
        ),
        ValidSource::HuggingFace(_) => (
            Volume { name: "cache".into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Default::default() },
            VolumeMount { name: "cache".into(), mount_path: CACHE_MOUNT.into(), ..Default::default() },
        ),
    }
}
