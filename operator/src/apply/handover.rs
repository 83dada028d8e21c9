//! Who owns the number of replicas when a scaler takes over.
//!
//! A field that its only owner no longer applies goes back to its default, which for `replicas` is 1: a live fleet
//! would shrink to one worker. So before the operator applies a Deployment without the field, another manager takes
//! the live number over. The scaler's first write takes the field from that manager, which never applies it again.

use kube::Api;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;

use belfry_render::children::metadata::MANAGER;
use belfry_render::kind::ChildKind;
use belfry_render::model::ValidModel;

/// Field manager that holds the number of replicas between operator and scaler.
pub const HANDOVER_MANAGER: &str = "belfry-scaling";

/// Times that the number is read and held. The Deployment's controller writes its status while pods come and go.
const ATTEMPTS: u32 = 5;

/// Sees to it that the number of replicas outlives the next apply of a Deployment that leaves it out. Does nothing for a
/// model without a scaler, and when another manager owns the number already. Returns whether it wrote.
///
/// # Errors
/// The API server did not answer, or the Deployment changed again and again; the pass is to be repeated.
pub(super) async fn release_replicas(api: &Api<DynamicObject>, model: &ValidModel) -> Result<bool, kube::Error> {
    if model.owned_replicas().is_some() {
        return Ok(false);
    }
    let mut attempts = 1;
    loop {
        // The cache may be behind, and a stale number would undo what was decided meanwhile.
        let Some(live) = api.get_opt(&model.name).await? else { return Ok(false) };
        if has_other_owner(&live) {
            return Ok(false);
        }
        // After a suspension the number from before it counts: a HorizontalPodAutoscaler does not wake what is at 0.
        let replicas = Some(live_replicas(&live)).filter(|replicas| *replicas > 0).unwrap_or(model.replicas);
        let replicas = model.autoscaling.as_ref().map_or(replicas, |scaling| scaling.clamp(replicas));
        match hold(api, &live, replicas).await {
            // The Deployment was written since it was read: its status, or perhaps its replicas.
            Err(kube::Error::Api(status)) if status.code == 409 && attempts < ATTEMPTS => attempts += 1,
            result => return result.map(|()| true),
        }
    }
}

async fn hold(api: &Api<DynamicObject>, live: &DynamicObject, replicas: i32) -> Result<(), kube::Error> {
    let resource = ChildKind::Deployment.api_resource();
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": live.name_any(), "resourceVersion": live.resource_version()},
        "spec": {"replicas": replicas},
    });
    let params = PatchParams::apply(HANDOVER_MANAGER).force();
    api.patch(&live.name_any(), &params, &Patch::Apply(body)).await.map(drop)
}

fn live_replicas(live: &DynamicObject) -> i32 {
    let replicas = live.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
    replicas.and_then(|replicas| i32::try_from(replicas).ok()).unwrap_or(1)
}

/// Whether a manager beside the operator owns the number of replicas.
fn has_other_owner(live: &DynamicObject) -> bool {
    live.managed_fields().iter().any(|entry| {
        let owns = entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some());
        owns && entry.manager.as_deref() != Some(MANAGER)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(managers: &[&str]) -> DynamicObject {
        let entries: Vec<_> = managers
            .iter()
            .map(
                |manager| json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}),
            )
            .chain([json!({"manager": "kube-controller-manager", "fieldsV1": {"f:status": {"f:replicas": {}}}})])
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5},
            "metadata": {"name": "m", "managedFields": entries},
        }))
        .unwrap()
    }

    #[test]
    fn only_a_number_without_another_owner_has_to_be_held() {
        assert!(!has_other_owner(&deployment(&[])));
        assert!(!has_other_owner(&deployment(&[MANAGER])));
        assert!(has_other_owner(&deployment(&[MANAGER, HANDOVER_MANAGER])));
        assert!(has_other_owner(&deployment(&["kube-controller-manager"])));
        assert_eq!(live_replicas(&deployment(&[])), 5);
    }
}
