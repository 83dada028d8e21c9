//! The pod of a worker. It passes the Pod Security level `restricted` whatever the specification says.

use belfry_crds::contract::DRAIN_TIMEOUT_SECONDS;
use k8s_openapi::api::core::v1::{
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::meta::{Component, pod_labels, selector};
use super::container::container;
use super::source;
use crate::validate::ValidModel;

/// User and group of the worker; the image's own.
const UID: i64 = 65_532;

/// Seconds between the end of the drain and SIGKILL.
const GRACE_SECONDS: i64 = 15;

/// The pod template of a model.
pub(super) fn template(model: &ValidModel) -> PodTemplateSpec {
    let shared = source::writes_to_a_claim(&model.source);
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
                fs_group: shared.then_some(UID),
                fs_group_change_policy: shared.then(|| "OnRootMismatch".into()),
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
            init_containers: source::init_containers(model),
            containers: vec![container(model, vec![source::mount(&model.source)])],
            volumes: Some(vec![source::volume(&model.source)]),
            ..Default::default()
        }),
    }
}
