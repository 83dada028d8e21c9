//! The status and its events, written only when something changed.

use belfry_crds::{InferenceModel, InferenceModelStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tracing::warn;

use super::Context;
use crate::children::meta::MANAGER;
use crate::events::transitions;

/// Writes a status that differs from the present one, and then the events of the change.
pub(super) async fn write(
    model: &InferenceModel,
    next: InferenceModelStatus,
    context: &Context,
) -> Result<(), kube::Error> {
    if model.status.as_ref() == Some(&next) {
        return Ok(());
    }
    let api: Api<InferenceModel> = Api::namespaced(context.client.clone(), &model.namespace().unwrap_or_default());
    let body = json!({
        "apiVersion": InferenceModel::api_version(&()),
        "kind": InferenceModel::kind(&()),
        "metadata": {"name": model.name_any()},
        "status": next,
    });
    let params = PatchParams::apply(&format!("{MANAGER}-status")).force();
    let result = api.patch_status(&model.name_any(), &params, &Patch::Apply(body)).await;
    context.metrics.write("InferenceModel", result.is_ok());
    match result {
        // The next pass compares with this answer, and need not wait for the watch; its event is no news then. A
        // specification that this pass has not seen has to be news.
        Ok(mut answer) if answer.metadata.generation == model.metadata.generation => {
            answer.metadata.managed_fields = None;
            context.cache.model_seen(answer);
        }
        Ok(_) => {}
        // The model was deleted while the pass ran.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error),
    }
    for event in transitions(model.status.as_ref(), &next) {
        let result = context.recorder.publish(&event, &model.object_ref(&())).await;
        context.metrics.write("Event", result.is_ok());
        // An event is a courtesy: the condition says the same.
        if let Err(error) = result {
            warn!(%error, reason = event.reason, "Could not write an event");
        }
    }
    Ok(())
}
