//! `spec.availability` and `spec.podTemplate`, with defaults applied.

use crate::model::ValidAvailability;
use crate::problem::Problem;
use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Availability, PodTemplate, is_free_pod_key, is_identity_key};

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

/// Keys that a controller or an admission plugin would act on. The CRD refuses them too, but a file that is only rendered
/// is not checked against the CRD.
pub(super) fn reserved_keys(spec: Option<&PodTemplate>) -> Vec<Problem> {
    let Some(PodTemplate { labels, annotations, service_account_annotations, .. }) = spec else { return vec![] };
    let no_identity = service_account_annotations.keys().filter(|key| !is_identity_key(key)).map(|key| {
        let message = format!("{key} gives no cloud identity: remove it, or use a key of eks.amazonaws.com/, iam.gke.io/ or azure.workload.identity/");
        Problem::new("spec.podTemplate.serviceAccountAnnotations", message)
    });
    let labels = labels.keys().map(|key| ("spec.podTemplate.labels", key));
    let annotations = annotations.keys().map(|key| ("spec.podTemplate.annotations", key));
    let problem =
        |(field, key)| Problem::new(field, format!("{key} is reserved: remove it, or use a key of your own domain"));
    labels.chain(annotations).filter(|(_, key)| !is_free_pod_key(key)).map(problem).chain(no_identity).collect()
}
