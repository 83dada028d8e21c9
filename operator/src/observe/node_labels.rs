//! Where the pods of a node run, from its labels. Pure.

use std::collections::BTreeMap;

use strum::IntoStaticStr;

/// Where pods run, and how that is paid for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Zone; empty when the node does not say.
    pub zone: String,
    /// How the node's capacity is paid for.
    pub capacity: Capacity,
    /// Product name of the node's GPUs; empty when it does not say, as where it has none.
    pub gpu: String,
}

/// How the capacity of a node is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Capacity {
    /// By use, and kept for as long as it is used.
    OnDemand,
    /// Cheaper, and taken away when another customer wants it.
    Spot,
    /// Bought ahead.
    Reserved,
    /// The labels do not say.
    #[default]
    Unknown,
}

impl Capacity {
    /// A value of the label `capacity_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

const ZONE: &str = "topology.kubernetes.io/zone";

/// NVIDIA's feature discovery, GKE and Karpenter, the most telling name first.
const GPU: &[&str] =
    &["nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name"];

/// Labels of Karpenter, EKS, GKE, AKS and kOps, and what their values mean. GKE and AKS label no node that is paid by use.
const CAPACITY: &[(&str, &str, Capacity)] = &[
    ("karpenter.sh/capacity-type", "spot", Capacity::Spot),
    ("karpenter.sh/capacity-type", "on-demand", Capacity::OnDemand),
    ("karpenter.sh/capacity-type", "reserved", Capacity::Reserved),
    ("eks.amazonaws.com/capacityType", "SPOT", Capacity::Spot),
    ("eks.amazonaws.com/capacityType", "ON_DEMAND", Capacity::OnDemand),
    ("eks.amazonaws.com/capacityType", "CAPACITY_BLOCK", Capacity::Reserved),
    ("cloud.google.com/gke-provisioning", "spot", Capacity::Spot),
    ("cloud.google.com/gke-provisioning", "preemptible", Capacity::Spot),
    ("cloud.google.com/gke-provisioning", "standard", Capacity::OnDemand),
    ("cloud.google.com/gke-spot", "true", Capacity::Spot),
    ("cloud.google.com/gke-preemptible", "true", Capacity::Spot),
    ("kubernetes.azure.com/scalesetpriority", "spot", Capacity::Spot),
    ("kubernetes.azure.com/scalesetpriority", "regular", Capacity::OnDemand),
    ("node.kubernetes.io/lifecycle", "spot", Capacity::Spot),
    ("node.kubernetes.io/lifecycle", "normal", Capacity::OnDemand),
];

/// Labels that every node of a managed cluster has: without one of those above, it is paid by use.
const PAID_BY_USE: &[&str] = &["cloud.google.com/gke-nodepool", "kubernetes.azure.com/agentpool"];

impl Place {
    /// Reads the labels of a node.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| labels.get(name).filter(|value| !value.is_empty()).cloned();
        let known = CAPACITY.iter().find(|(name, value, _)| labels.get(*name).is_some_and(|given| given == value));
        let capacity = match known {
            Some((_, _, capacity)) => *capacity,
            None if PAID_BY_USE.iter().any(|name| labels.contains_key(*name)) => Capacity::OnDemand,
            None => Capacity::Unknown,
        };
        Self {
            zone: value(ZONE).unwrap_or_default(),
            capacity,
            gpu: GPU.iter().find_map(|name| value(name)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(labels: &[(&str, &str)]) -> Place {
        Place::of(&labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_labels_of_a_node_have_its_zone_its_gpus_and_its_capacity_type() {
        let seen = place(&[
            ("topology.kubernetes.io/zone", "eu-west-1a"),
            ("karpenter.sh/capacity-type", "spot"),
            ("karpenter.k8s.aws/instance-gpu-name", "h100"),
            ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),
            ("kubernetes.io/hostname", "a"),
        ]);
        let expected =
            Place { zone: "eu-west-1a".into(), capacity: Capacity::Spot, gpu: "NVIDIA-H100-80GB-HBM3".into() };
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_cloud_has_its_own_words_for_spot() {
        for (name, value) in [
            ("karpenter.sh/capacity-type", "spot"),
            ("eks.amazonaws.com/capacityType", "SPOT"),
            ("cloud.google.com/gke-spot", "true"),
            ("cloud.google.com/gke-preemptible", "true"),
            ("cloud.google.com/gke-provisioning", "spot"),
            ("kubernetes.azure.com/scalesetpriority", "spot"),
            ("node.kubernetes.io/lifecycle", "spot"),
        ] {
            assert_eq!(place(&[(name, value)]).capacity, Capacity::Spot, "{name}");
        }
    }

    #[test]
    fn a_node_of_gke_or_aks_that_says_nothing_is_paid_by_use() {
        assert_eq!(place(&[("cloud.google.com/gke-nodepool", "a")]).capacity, Capacity::OnDemand);
        assert_eq!(place(&[("kubernetes.azure.com/agentpool", "a")]).capacity, Capacity::OnDemand);
        let spot = [("kubernetes.azure.com/agentpool", "a"), ("kubernetes.azure.com/scalesetpriority", "spot")];
        assert_eq!(place(&spot).capacity, Capacity::Spot);
    }

    #[test]
    fn nothing_is_known_of_a_node_without_labels() {
        assert_eq!(place(&[]), Place::default());
        assert_eq!(place(&[("cloud.google.com/gke-spot", "false")]).capacity, Capacity::Unknown);
    }

    #[test]
    fn every_capacity_is_a_value_of_the_label() {
        let known = [Capacity::OnDemand, Capacity::Spot, Capacity::Reserved, Capacity::Unknown].map(Capacity::as_str);
        assert_eq!(known, belfry_crds::contract::metrics::CAPACITY_TYPES);
    }
}
