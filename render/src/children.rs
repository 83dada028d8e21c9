//! [`ValidModel`] → one [`Child`] for each kind: every object that a model needs, as data.
//!
//! Pure: the same model gives the same bytes, in the operator and in `belfry render` (invariant 1).

pub mod alertmanager_config;
pub mod dashboard;
pub mod deployment;
pub mod horizontal_pod_autoscaler;
pub mod meta;
pub mod network_policy;
pub mod pod_disruption_budget;
pub mod prometheus_rule;
pub mod scaled_object;
pub mod service;
pub mod service_account;
pub mod service_monitor;

use kube::core::DynamicObject;
use serde::Serialize;

use crate::kind::ChildKind;
use crate::model::ValidModel;

/// One child as it is sent: present with its object, or absent with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Kind of the object.
    pub kind: ChildKind,
    /// Name of the object.
    pub name: String,
    /// The object; `None` when it must not exist.
    pub object: Option<DynamicObject>,
}

/// Builds the children of a model, in the order in which they are applied.
///
/// # Errors
/// As [`child`].
pub fn children(model: &ValidModel) -> Result<Vec<Child>, serde_json::Error> {
    ChildKind::ALL.iter().map(|kind| child(*kind, model)).collect()
}

/// Builds the child of one kind, with the hash of its content.
///
/// # Errors
/// None in practice: the objects are plain data. Serialization is fallible in its type only.
pub fn child(kind: ChildKind, model: &ValidModel) -> Result<Child, serde_json::Error> {
    // Without a wildcard: a new kind does not compile until it is built here.
    let object = match kind {
        ChildKind::ServiceAccount => stamped(kind, Some(service_account::service_account(model))),
        ChildKind::NetworkPolicy => stamped(kind, network_policy::network_policy(model)),
        ChildKind::Deployment => stamped(kind, Some(deployment::deployment(model))),
        ChildKind::Service => stamped(kind, Some(service::service(model))),
        ChildKind::PodDisruptionBudget => stamped(kind, Some(pod_disruption_budget::pod_disruption_budget(model))),
        ChildKind::HorizontalPodAutoscaler => {
            stamped(kind, horizontal_pod_autoscaler::horizontal_pod_autoscaler(model))
        }
        ChildKind::ScaledObject => stamped(kind, scaled_object::scaled_object(model)),
        ChildKind::ConfigMap => stamped(kind, dashboard::dashboard(model)),
        ChildKind::ServiceMonitor => stamped(kind, Some(service_monitor::service_monitor(model))),
        ChildKind::PrometheusRule => stamped(kind, Some(prometheus_rule::prometheus_rule(model))),
        ChildKind::AlertmanagerConfig => stamped(kind, alertmanager_config::alertmanager_config(model)),
    };
    Ok(Child { kind, name: meta::child_name(kind, model), object: object? })
}

fn stamped(kind: ChildKind, object: Option<impl Serialize>) -> Result<Option<DynamicObject>, serde_json::Error> {
    object.map(|object| meta::stamped(kind, &object)).transpose()
}

impl Child {
    /// The hash of the content; `None` when the object must not exist.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        self.object.as_ref().and_then(meta::hash_of)
    }
}
