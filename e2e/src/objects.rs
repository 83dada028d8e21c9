//! The objects that belong to a model, of whatever kind.

use anyhow::{Context, Result};
use belfry_render::kind::ChildKind;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt};

use crate::Namespace;

/// What every namespace has.
const OF_THE_CLUSTER: &[(&str, &str)] = &[("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")];

/// The kinds of which every model has one, unless it switches it off. A scaler only those have that ask for one.
pub const UNSCALED: &[ChildKind] = &[
    ChildKind::ServiceAccount,
    ChildKind::NetworkPolicy,
    ChildKind::Deployment,
    ChildKind::Service,
    ChildKind::PodDisruptionBudget,
    ChildKind::ConfigMap,
    ChildKind::ServiceMonitor,
    ChildKind::PrometheusRule,
];

impl Namespace {
    /// Children of that kind in this namespace.
    pub fn children(&self, kind: ChildKind) -> Api<DynamicObject> {
        self.dynamic(&kind.api_resource())
    }

    fn dynamic(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.cluster.client.clone(), &self.name, resource)
    }

    /// Everything of the kinds that a model brings with it, directly or not, as `Kind name`.
    pub async fn objects(&self) -> Result<Vec<String>> {
        let scaler = ChildKind::HorizontalPodAutoscaler;
        let mut resources: Vec<_> = UNSCALED.iter().chain([&scaler]).map(|kind| kind.api_resource()).collect();
        resources.extend([
            ApiResource::erase::<Pod>(&()),
            ApiResource::erase::<ReplicaSet>(&()),
            ApiResource::erase::<EndpointSlice>(&()),
        ]);
        let mut found = vec![];
        for resource in resources {
            let list = self.dynamic(&resource).list(&ListParams::default()).await;
            let list = list.with_context(|| format!("can't list {}", resource.plural))?;
            let names = list.items.iter().map(ResourceExt::name_any);
            let own = names.filter(|name| !OF_THE_CLUSTER.contains(&(&resource.kind, name)));
            found.extend(own.map(|name| format!("{} {name}", resource.kind)));
        }
        Ok(found)
    }
}
