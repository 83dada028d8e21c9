//! [`ValidModel`] → [`Children`]: every object that a model needs, as data.
//!
//! Pure: the same model gives the same bytes, in the operator and in `belfry render` (invariant 1).

pub mod dashboard;
pub mod deployment;
pub mod meta;
pub mod network_policy;
pub mod pod_disruption_budget;
pub mod prometheus_rule;
pub mod service;
pub mod service_account;
pub mod service_monitor;

use belfry_crds::monitoring::{PrometheusRule, ServiceMonitor};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DynamicObject;
use serde::Serialize;

use crate::kind::ChildKind;
use crate::validate::ValidModel;

/// The objects of one model. A field that is `None` is an object that must not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// Identity of the workers.
    pub service_account: ServiceAccount,
    /// Who may talk to the workers, unless the specification wants no policy.
    pub network_policy: Option<NetworkPolicy>,
    /// The workers.
    pub deployment: Deployment,
    /// Address of the workers.
    pub service: Service,
    /// How many workers a drain may take at once.
    pub pod_disruption_budget: PodDisruptionBudget,
    /// The Grafana dashboard, unless it is switched off.
    pub dashboard: Option<ConfigMap>,
    /// What Prometheus scrapes.
    pub service_monitor: ServiceMonitor,
    /// Recording rules and alerts.
    pub prometheus_rule: PrometheusRule,
}

/// One child as it is sent: present with its object, or absent with its name.
#[derive(Clone, Debug)]
pub struct Child {
    /// Kind of the object.
    pub kind: ChildKind,
    /// Name of the object.
    pub name: String,
    /// The object; `None` when it must not exist.
    pub object: Option<DynamicObject>,
}

/// Builds the children of a model.
#[must_use]
pub fn children(model: &ValidModel) -> Children {
    Children {
        service_account: service_account::service_account(model),
        network_policy: network_policy::network_policy(model),
        deployment: deployment::deployment(model),
        service: service::service(model),
        pod_disruption_budget: pod_disruption_budget::pod_disruption_budget(model),
        dashboard: dashboard::dashboard(model),
        service_monitor: service_monitor::service_monitor(model),
        prometheus_rule: prometheus_rule::prometheus_rule(model),
    }
}

impl Children {
    /// The children in the order in which they are applied, each with the hash of its content.
    ///
    /// # Errors
    /// None in practice: the objects are plain data. Serialization is fallible in its type only.
    pub fn into_list(self, model: &ValidModel) -> Result<Vec<Child>, serde_json::Error> {
        // Without `..`: a new field does not compile until it is applied here.
        let Self {
            service_account,
            network_policy,
            deployment,
            service,
            pod_disruption_budget,
            dashboard,
            service_monitor,
            prometheus_rule,
        } = self;
        let name = &model.name;
        Ok(vec![
            child(ChildKind::ServiceAccount, name.clone(), Some(&service_account))?,
            child(ChildKind::NetworkPolicy, name.clone(), network_policy.as_ref())?,
            child(ChildKind::Deployment, name.clone(), Some(&deployment))?,
            child(ChildKind::Service, name.clone(), Some(&service))?,
            child(ChildKind::PodDisruptionBudget, name.clone(), Some(&pod_disruption_budget))?,
            child(ChildKind::ConfigMap, meta::dashboard_name(model), dashboard.as_ref())?,
            child(ChildKind::ServiceMonitor, name.clone(), Some(&service_monitor))?,
            child(ChildKind::PrometheusRule, name.clone(), Some(&prometheus_rule))?,
        ])
    }
}

fn child(kind: ChildKind, name: String, object: Option<&impl Serialize>) -> Result<Child, serde_json::Error> {
    let object = object.map(|object| meta::stamped(kind, object)).transpose()?;
    Ok(Child { kind, name, object })
}
