//! `spec.availability`, `spec.network` and `spec.podTemplate`, with defaults applied.

use crate::model::{ValidAvailability, ValidNetwork, ValidPolicy};
use crate::problem::Problem;
use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Availability, Network, PodTemplate, PolicyMode, is_free_pod_key};

pub(super) fn availability(spec: Option<&Availability>) -> ValidAvailability {
    let spec = spec.cloned().unwrap_or_default();
    ValidAvailability {
        max_unavailable: spec
            .pod_disruption_budget
            .and_then(|budget| budget.max_unavailable)
            .unwrap_or(defaults::DISRUPTION_MAX_UNAVAILABLE),
        topology_spread: spec.topology_spread.unwrap_or_default(),
        priority_class_name: spec.priority_class_name,
    }
}

pub(super) fn network(spec: Option<&Network>) -> ValidNetwork {
    let spec = spec.cloned().unwrap_or_default();
    let rules = spec.network_policy.unwrap_or_default();
    let policy = match rules.mode.unwrap_or_default() {
        PolicyMode::None => None,
        PolicyMode::Generated => {
            Some(ValidPolicy { allow_from: rules.allow_from, prometheus_namespace: rules.prometheus_namespace })
        }
    };
    ValidNetwork { port: spec.port.unwrap_or(defaults::SERVICE_PORT), policy }
}

/// Keys that a controller or an admission plugin would act on. The CRD refuses them too, but a file that is only rendered
/// is not checked against the CRD.
pub(super) fn reserved_keys(spec: Option<&PodTemplate>) -> Vec<Problem> {
    let Some(PodTemplate { labels, annotations, .. }) = spec else { return vec![] };
    let labels = labels.keys().map(|key| ("spec.podTemplate.labels", key));
    let annotations = annotations.keys().map(|key| ("spec.podTemplate.annotations", key));
    let problem =
        |(field, key)| Problem::new(field, format!("{key} is reserved: remove it, or use a key of your own domain"));
    labels.chain(annotations).filter(|(_, key)| !is_free_pod_key(key)).map(problem).collect()
}
