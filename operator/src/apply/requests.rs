//! The requests, and nothing that could be decided without one.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::handover::release_replicas;
use super::{Context, Plan, RefusalCause};
use crate::observe::{Compare, Content, DeploymentState, LiveChild, Observed};
use belfry_render::children::Child;
use belfry_render::children::metadata::MANAGER;
use belfry_render::kind::ChildKind;
use belfry_render::model::ValidModel;

pub(super) enum Failure {
    Refused(RefusalCause),
    Transient(kube::Error),
}

/// A resource version that no object ever has. The API server gives a new object one of its own.
const NO_VERSION: &str = "9223372036854775807";

type Outcome = Result<Option<DeploymentState>, Failure>;

pub(super) struct ChildRequests<'a> {
    pub(super) model: &'a ValidModel,
    pub(super) context: &'a Context<'a>,
}

impl ChildRequests<'_> {
    fn api(&self, kind: ChildKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.context.client.clone(), &self.model.namespace, &kind.api_resource())
    }

    /// Sends what the plan asks for, and returns the state of a Deployment that was written.
    pub(super) async fn carry_out(&self, plan: Plan, mut child: Child) -> Outcome {
        let api = self.api(child.kind());
        match (plan, child.object.take()) {
            (Plan::Create, Some(object)) => self.create(&api, &child, object).await,
            (Plan::Apply, Some(object)) => {
                self.release_replicas(&api, child.kind()).await?;
                self.mend(&api, &child, &object).await
            }
            (Plan::Delete, None) => self.delete(&api, &child).await,
            (Plan::Conflict, _) => Err(Failure::Refused(RefusalCause::NameConflict)),
            (Plan::Keep | Plan::Look | Plan::Create | Plan::Apply | Plan::Delete, _) => Ok(None),
        }
    }

    /// Reads a child that a watch showed by its metadata only, and compares it; `None` when it is gone.
    pub(super) async fn look(
        &self,
        kind: ChildKind,
        name: &str,
        observed: &Observed,
    ) -> Result<Option<LiveChild>, Failure> {
        let Context { cache, key, drift, .. } = self.context;
        let Some(object) = self.api(kind).get_opt(name).await.map_err(failure)? else { return Ok(None) };
        cache.child_seen(key, kind, (&object, Content::Whole(&object)), |_, object, _| {
            drift.holds(key, (kind, object), &observed.model, observed.deployed())
        });
        Ok(cache.child(key, kind, name))
    }

    /// The other field manager that changed a child last. It is for people: `None` when the API server does not say.
    pub(super) async fn rival(&self, kind: ChildKind, name: &str) -> Option<String> {
        let found = self.api(kind).get_metadata_opt(name).await.ok().flatten()?;
        let is_other = |entry: &&ManagedFieldsEntry| {
            entry.subresource.as_deref() != Some("status") && entry.manager.as_deref() != Some(MANAGER)
        };
        let others = found.managed_fields().iter().filter(is_other);
        others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
    }

    /// An apply that can only make a new object. One that is there has another version, so that the API server answers
    /// with a conflict and leaves it as it is; only then is it worth a request to ask whose it is.
    async fn create(&self, api: &Api<DynamicObject>, child: &Child, mut object: DynamicObject) -> Outcome {
        object.metadata.resource_version = Some(NO_VERSION.into());
        match self.patch(api, child, Patch::Apply(&object)).await {
            Err(Failure::Transient(kube::Error::Api(status))) if status.code == 409 => {
                self.refuse_foreign(api, &child.name).await?;
                self.release_replicas(api, child.kind()).await?;
                object.metadata.resource_version = None;
                self.patch(api, child, Patch::Apply(&object)).await
            }
            outcome => outcome,
        }
    }

    /// Forcing the fields of a foreign object would take it over.
    async fn refuse_foreign(&self, api: &Api<DynamicObject>, name: &str) -> Result<(), Failure> {
        match api.get_metadata_opt(name).await.map_err(failure)? {
            Some(found) if !is_controlled_by(found.owner_references(), &self.model.uid) => {
                Err(Failure::Refused(RefusalCause::NameConflict))
            }
            _ => Ok(()),
        }
    }

    /// Before a Deployment that is there is applied.
    async fn release_replicas(&self, api: &Api<DynamicObject>, kind: ChildKind) -> Result<(), Failure> {
        if kind == ChildKind::Deployment && release_replicas(api, self.model).await.map_err(failure)? {
            self.context.metrics.write(kind.as_str(), true);
        }
        Ok(())
    }

    async fn delete(&self, api: &Api<DynamicObject>, child: &Child) -> Outcome {
        let known = self.context.cache.child(self.context.key, child.kind(), &child.name);
        let result = api.delete(&child.name, &DeleteParams::default()).await;
        self.context.metrics.write(child.kind().as_str(), result.is_ok());
        match result {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            result => drop(result.map_err(failure)?),
        }
        // What the watch has shown since is another object.
        let version = known.map_or(0, |known| known.version());
        self.context.cache.child_gone(self.context.key, child.kind(), &child.name, version);
        Ok(None)
    }

    async fn mend(&self, api: &Api<DynamicObject>, child: &Child, object: &DynamicObject) -> Outcome {
        match self.patch(api, child, Patch::Apply(object)).await {
            // An edit changed the key of a list's element, such as the port of a Service. Apply keeps that element
            // and adds ours, and the two contradict each other; a merge patch replaces the list as a whole.
            Err(Failure::Refused(RefusalCause::Api { code: 422, .. })) => {
                let spec = serde_json::json!({"spec": object.data.get("spec")});
                self.patch(api, child, Patch::Merge(&spec)).await?;
                self.patch(api, child, Patch::Apply(object)).await
            }
            outcome => outcome,
        }
    }

    async fn patch<P: Serialize + Debug>(&self, api: &Api<DynamicObject>, child: &Child, patch: Patch<P>) -> Outcome {
        let is_apply = matches!(patch, Patch::Apply(_));
        let params = if is_apply {
            PatchParams::apply(MANAGER).force()
        } else {
            PatchParams { field_manager: Some(MANAGER.into()), ..Default::default() }
        };
        let Context { cache, key, metrics, .. } = self.context;
        let write = cache.writes_child(key, child.kind(), &child.name);
        let result = send(api, child, &params, &patch).await;
        metrics.write(child.kind().as_str(), result.is_ok());
        if let Ok(answer) = &result
            && is_apply
        {
            cache.child_answered(&write, key, child.role, answer.clone());
        }
        result.map(|(_, deployment)| deployment).map_err(failure)
    }
}

/// Of a Deployment the state is needed at once. Of the others only the metadata of the answer is asked for, since rules
/// and a dashboard weigh more than all else of a model: the watch shows them, with the same version.
async fn send<P: Serialize + Debug>(
    api: &Api<DynamicObject>,
    child: &Child,
    params: &PatchParams,
    patch: &Patch<P>,
) -> Result<(LiveChild, Option<DeploymentState>), kube::Error> {
    if child.kind() == ChildKind::Deployment {
        let answer = api.patch(&child.name, params, patch).await?;
        return Ok((LiveChild::applied(&answer), Some(DeploymentState::of(&answer))));
    }
    let answer = api.patch_metadata(&child.name, params, patch).await?;
    Ok((LiveChild::applied(&answer), None))
}

fn is_controlled_by(owners: &[OwnerReference], uid: &str) -> bool {
    owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// A refusal is the API server's considered no; everything else is worth another try, also a write that came between a
/// read and a write of the API server's own.
fn failure(error: kube::Error) -> Failure {
    let kube::Error::Api(status) = error else { return Failure::Transient(error) };
    let is_refused = match status.code {
        400 | 403 | 404 | 405 | 413 | 415 | 422 => true,
        409 => status.message.contains("conflict with"),
        // An admission webhook of one kind that is down harms no child of another kind.
        500 => status.message.contains("failed calling webhook"),
        _ => false,
    };
    if is_refused {
        return Failure::Refused(RefusalCause::Api { code: status.code, message: status.message.clone() });
    }
    Failure::Transient(kube::Error::Api(status))
}

#[cfg(test)]
mod tests;
