//! The kinds of objects that the operator writes for a model.

use belfry_crds::alertmanager::AlertmanagerConfig;
use belfry_crds::keda::ScaledObject;
use belfry_crds::monitoring::{PrometheusRule, ServiceMonitor};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::ApiResource;
use strum::{IntoStaticStr, VariantArray};

/// An API kind of which a model has objects. What an object is for, its [`crate::role::Role`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
pub enum ChildKind {
    /// Identity of the workers; it has no rights.
    ServiceAccount,
    /// Who may talk to the workers.
    NetworkPolicy,
    /// The workers.
    Deployment,
    /// Address of the workers.
    Service,
    /// How many workers a drain may take at once.
    PodDisruptionBudget,
    /// Who scales the workers.
    HorizontalPodAutoscaler,
    /// Who scales the workers, where KEDA is to do it.
    ScaledObject,
    /// The Grafana dashboard.
    ConfigMap,
    /// What Prometheus scrapes.
    ServiceMonitor,
    /// Recording rules and alerts.
    PrometheusRule,
    /// Who is paged.
    AlertmanagerConfig,
}

impl ChildKind {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Name of the kind in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Group, version and plural.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::HorizontalPodAutoscaler => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            Self::ScaledObject => ApiResource::erase::<ScaledObject>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::ServiceMonitor => ApiResource::erase::<ServiceMonitor>(&()),
            Self::PrometheusRule => ApiResource::erase::<PrometheusRule>(&()),
            Self::AlertmanagerConfig => ApiResource::erase::<AlertmanagerConfig>(&()),
        }
    }

    /// Whether the kind comes from a CRD that a cluster may lack.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::ServiceMonitor | Self::PrometheusRule | Self::AlertmanagerConfig | Self::ScaledObject)
    }

    /// Whether the object weighs more than all others of a model together, so that its watch shows the metadata only.
    #[must_use]
    pub const fn is_heavy(self) -> bool {
        matches!(self, Self::ConfigMap | Self::PrometheusRule)
    }
}
