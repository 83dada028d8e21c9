//! Where the pods run: spread, affinity, tolerations.

use belfry_crds::inference_model as api;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PreferredSchedulingTerm,
    Toleration, TopologySpreadConstraint,
};

use super::container::some;
use crate::children::metadata::selector;
use crate::model::ValidModel;

/// The constraints are preferences only: a pod that waits for a better node serves no requests.
pub(super) fn spread(model: &ValidModel) -> Option<Vec<TopologySpreadConstraint>> {
    let over = |key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(selector(model)),
        ..Default::default()
    };
    let (zone, node) = ("topology.kubernetes.io/zone", "kubernetes.io/hostname");
    match model.availability.topology_spread {
        api::TopologySpread::Zone => Some(vec![over(zone), over(node)]),
        api::TopologySpread::Node => Some(vec![over(node)]),
        api::TopologySpread::None => None,
    }
}

pub(super) fn tolerations(model: &ValidModel) -> Option<Vec<Toleration>> {
    let one = |t: &api::Toleration| Toleration {
        key: t.key.clone(),
        operator: Some(
            match t.operator.unwrap_or_default() {
                api::TolerationOperator::Equal => "Equal",
                api::TolerationOperator::Exists => "Exists",
            }
            .into(),
        ),
        value: t.value.clone(),
        effect: t.effect.map(|effect| {
            match effect {
                api::TaintEffect::NoSchedule => "NoSchedule",
                api::TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                api::TaintEffect::NoExecute => "NoExecute",
            }
            .into()
        }),
        toleration_seconds: t.toleration_seconds,
    };
    some(model.scheduling.tolerations.iter().map(one).collect())
}

pub(super) fn affinity(model: &ValidModel) -> Option<Affinity> {
    let spec = model.scheduling.node_affinity.as_ref()?;
    let required =
        some(requirements(&spec.required)).map(|required| NodeSelector { node_selector_terms: vec![term(required)] });
    let preferred = spec.preferred.iter().map(|preference| PreferredSchedulingTerm {
        weight: preference.weight,
        preference: term(requirements(&preference.requirements)),
    });
    let node = NodeAffinity {
        required_during_scheduling_ignored_during_execution: required,
        preferred_during_scheduling_ignored_during_execution: some(preferred.collect()),
    };
    (node != NodeAffinity::default()).then(|| Affinity { node_affinity: Some(node), ..Default::default() })
}

fn term(requirements: Vec<NodeSelectorRequirement>) -> NodeSelectorTerm {
    NodeSelectorTerm { match_expressions: Some(requirements), ..Default::default() }
}

fn requirements(spec: &[api::NodeRequirement]) -> Vec<NodeSelectorRequirement> {
    spec.iter()
        .map(|requirement| NodeSelectorRequirement {
            key: requirement.key.clone(),
            operator: match requirement.operator {
                api::NodeOperator::In => "In",
                api::NodeOperator::NotIn => "NotIn",
                api::NodeOperator::Exists => "Exists",
                api::NodeOperator::DoesNotExist => "DoesNotExist",
            }
            .into(),
            values: some(requirement.values.clone()),
        })
        .collect()
}
