//! [`ValidModel`] → one [`Child`] for each role: every object that a model needs, as data.
//!
//! Pure: the same model gives the same bytes, in the operator and in `belfry render` (invariant 1).

pub mod alertmanager_config;
pub mod dashboard;
pub mod deployment;
pub mod horizontal_pod_autoscaler;
pub mod metadata;
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
use crate::role::Role;

/// One child as it is sent: present with its object, or absent with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// What the object is for.
    pub role: Role,
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
    Role::ALL.iter().map(|role| child(*role, model)).collect()
}

/// Builds the child of one role, with the hash of its content.
///
/// # Errors
/// None in practice: the objects are plain data. Serialization is fallible in its type only.
pub fn child(role: Role, model: &ValidModel) -> Result<Child, serde_json::Error> {
    // Without a wildcard: a new role does not compile until it is built here.
    let object = match role {
        Role::Identity => stamped(role, Some(service_account::service_account(model))),
        Role::Firewall => stamped(role, network_policy::network_policy(model)),
        Role::Workers => stamped(role, Some(deployment::deployment(model))),
        Role::Address => stamped(role, Some(service::service(model))),
        Role::DisruptionBudget => stamped(role, Some(pod_disruption_budget::pod_disruption_budget(model))),
        Role::Autoscaler => stamped(role, horizontal_pod_autoscaler::horizontal_pod_autoscaler(model)),
        Role::KedaScaler => stamped(role, scaled_object::scaled_object(model)),
        Role::Dashboard => stamped(role, dashboard::dashboard(model)),
        Role::Monitor => stamped(role, Some(service_monitor::service_monitor(model))),
        Role::Rules => stamped(role, Some(prometheus_rule::prometheus_rule(model))),
        Role::Routing => stamped(role, alertmanager_config::alertmanager_config(model)),
    };
    Ok(Child { role, name: role.name(&model.name), object: object? })
}

fn stamped(role: Role, object: Option<impl Serialize>) -> Result<Option<DynamicObject>, serde_json::Error> {
    object.map(|object| metadata::stamped(role.kind(), &object)).transpose()
}

impl Child {
    /// The API kind of the object.
    #[must_use]
    pub const fn kind(&self) -> ChildKind {
        self.role.kind()
    }

    /// The hash of the content; `None` when the object must not exist.
    #[must_use]
    pub fn hash(&self) -> Option<metadata::ContentHash> {
        self.object.as_ref().and_then(metadata::hash_of)
    }
}
