//! What a model's objects are for. A role has one API kind; a kind may have several roles, each with a name of its own.

use strum::VariantArray;

use crate::kind::ChildKind;

/// What an object of a model is for. A new one goes here and into [`crate::children::child`]; the compiler asks for the
/// rest. Of another API kind, it also goes into [`ChildKind`] and into the chart's Role. Children are applied in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, VariantArray)]
pub enum Role {
    /// Identity of the workers; it has no rights.
    Identity,
    /// Rules for connections to and from the workers.
    Firewall,
    /// The workers.
    Workers,
    /// Address of the workers.
    Address,
    /// How many workers a drain may take at once.
    DisruptionBudget,
    /// The scaler of Kubernetes itself.
    Autoscaler,
    /// The scaler of KEDA.
    KedaScaler,
    /// The Grafana dashboard.
    Dashboard,
    /// What Prometheus scrapes.
    Monitor,
    /// Recording rules and alerts.
    Rules,
    /// Which alert goes to which receiver.
    Routing,
}

impl Role {
    /// Every role, in the order of the enum: what pods need before pods, and monitoring last, so that it never delays
    /// serving (invariant 5).
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The API kind of the object.
    #[must_use]
    pub const fn kind(self) -> ChildKind {
        match self {
            Self::Identity => ChildKind::ServiceAccount,
            Self::Firewall => ChildKind::NetworkPolicy,
            Self::Workers => ChildKind::Deployment,
            Self::Address => ChildKind::Service,
            Self::DisruptionBudget => ChildKind::PodDisruptionBudget,
            Self::Autoscaler => ChildKind::HorizontalPodAutoscaler,
            Self::KedaScaler => ChildKind::ScaledObject,
            Self::Dashboard => ChildKind::ConfigMap,
            Self::Monitor => ChildKind::ServiceMonitor,
            Self::Rules => ChildKind::PrometheusRule,
            Self::Routing => ChildKind::AlertmanagerConfig,
        }
    }

    /// Name of the object of the model of that name. Two roles of one kind must differ in it.
    #[must_use]
    pub fn name(self, model: &str) -> String {
        match self {
            Self::Dashboard => format!("{model}-dashboard"),
            Self::Identity
            | Self::Firewall
            | Self::Workers
            | Self::Address
            | Self::DisruptionBudget
            | Self::Autoscaler
            | Self::KedaScaler
            | Self::Monitor
            | Self::Rules
            | Self::Routing => model.to_owned(),
        }
    }

    /// The role of an object of the model of that name, if it has one.
    #[must_use]
    pub fn of(kind: ChildKind, object: &str, model: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.kind() == kind && role.name(model) == object)
    }

    /// Whether the object decides how many workers there are.
    #[must_use]
    pub const fn is_scaler(self) -> bool {
        matches!(self, Self::Autoscaler | Self::KedaScaler)
    }

    /// Whether the object only watches the model, and never carries its traffic.
    #[must_use]
    pub const fn is_monitoring(self) -> bool {
        matches!(self, Self::Dashboard | Self::Monitor | Self::Rules | Self::Routing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_roles_share_an_object_and_every_kind_has_a_role() {
        let objects: BTreeSet<_> = Role::ALL.iter().map(|role| (role.kind(), role.name("m"))).collect();
        assert_eq!(objects.len(), Role::ALL.len());
        let kinds: BTreeSet<_> = Role::ALL.iter().map(|role| role.kind()).collect();
        assert_eq!(kinds, ChildKind::ALL.iter().copied().collect());
        for role in Role::ALL {
            assert_eq!(Role::of(role.kind(), &role.name("m"), "m"), Some(*role));
        }
        assert_eq!(Role::of(ChildKind::ConfigMap, "m", "m"), None);
    }
}
