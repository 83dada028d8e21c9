//! The status and its events, written only when something changed.

use belfry_crds::{InferenceModel, InferenceModelStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::warn;

use super::Context;
use crate::events::transitions;
use crate::observe::ModelKey;
use belfry_render::children::metadata::MANAGER;

/// Writes a status that differs from the present one, and then the events of the change.
pub(super) async fn write(
    model: &InferenceModel,
    next: InferenceModelStatus,
    context: &Context,
) -> Result<(), kube::Error> {
    if model.status.as_ref() == Some(&next) {
        return Ok(());
    }
    let write = context.cache.writes_model(&ModelKey::of(model));
    match send(model, json!(next), context).await {
        // The next pass compares with this answer, and need not wait for the watch, whose event then changes nothing. If
        // the specification has changed meanwhile, the watch has to show it, so that a pass follows.
        Ok(answer) if answer.metadata.generation == model.metadata.generation => {
            context.cache.model_answered(&write, answer);
        }
        Ok(_) => {}
        // The model was deleted while the pass ran, and perhaps another was made under its name.
        Err(kube::Error::Api(status)) if status.code == 404 || is_another(&status) => return Ok(()),
        Err(error) => return Err(error),
    }
    drop(write);
    for event in transitions(model.status.as_ref(), &next) {
        let result = context.recorder.publish(&event, &model.object_ref(&())).await;
        context.metrics.write("Event", result.is_ok());
        // An event is a courtesy: the condition says the same.
        if let Err(error) = result {
            warn!(model = %ModelKey::of(model), %error, reason = event.reason, "Could not write an event");
        }
    }
    Ok(())
}

/// Applies a status. What a definition older than this operator lacks is left out: the rest of the status is true, and
/// an apply with an unknown field is refused as a whole.
async fn send(model: &InferenceModel, mut status: Value, context: &Context) -> Result<InferenceModel, kube::Error> {
    let api: Api<InferenceModel> = Api::namespaced(context.client.clone(), &model.namespace().unwrap_or_default());
    let params = PatchParams::apply(&format!("{MANAGER}-status")).force();
    loop {
        let body = json!({
            "apiVersion": InferenceModel::api_version(&()),
            "kind": InferenceModel::kind(&()),
            // The UID keeps the status away from another model that was made under the same name.
            "metadata": {"name": model.name_any(), "uid": model.uid()},
            "status": status,
        });
        let result = api.patch_status(&model.name_any(), &params, &Patch::Apply(body)).await;
        context.metrics.write("InferenceModel", result.is_ok());
        match result {
            Err(kube::Error::Api(refusal)) if remove_undeclared(&mut status, &refusal.message) => {
                warn!(model = %ModelKey::of(model), refusal = refusal.message, "The CRD is older than this operator: upgrade it");
            }
            result => return result,
        }
    }
}

/// Whether the API server refused a write because the object of that name has another UID.
fn is_another(status: &kube::core::Status) -> bool {
    status.code == 409 && status.message.contains("UID")
}

/// Removes the fields of a status of which the API server says that its schema lacks them, or something in them; false
/// when there is none.
fn remove_undeclared(status: &mut Value, message: &str) -> bool {
    const LACK: &str = ": field not declared in schema";
    let Some(fields) = status.as_object_mut() else { return false };
    let before = fields.len();
    let paths = message.match_indices(LACK).filter_map(|(end, _)| message.get(..end)?.rsplit_once(".status."));
    for (_, path) in paths {
        fields.remove(path.split(['.', '[']).next().unwrap_or_default());
    }
    fields.len() < before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_definition_lacks_is_left_out_and_nothing_else() {
        let mut status = json!({"loaded": "1/1", "replicas": 1, "children": [{"kind": "Service"}]});
        let refusal = "failed to create typed patch object (ns/m; belfry.dev/v1alpha1, Kind=InferenceModel): errors:\n  \
                       .status.loaded: field not declared in schema\n  \
                       .status.children[kind=\"Service\",name=\"m\"].reason: field not declared in schema";
        assert!(remove_undeclared(&mut status, refusal));
        assert_eq!(status, json!({"replicas": 1}));
        assert!(!remove_undeclared(&mut status, refusal), "the same refusal again must not lead to another try");
        assert!(!remove_undeclared(&mut status, "etcdserver: request timed out"));
    }
}
