//! [`Children`] → the cluster, by server-side apply under one field manager.
//!
//! A child is sent only when it differs from what the cache holds: an apply that changes nothing
//! would still be a request (invariant 2).

mod compare;

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use tracing::info;

use crate::children::meta::{HASH_ANNOTATION, MANAGER};
use crate::children::{Child, Children};
use crate::kind::ChildKind;
use crate::metrics::Metrics;
use crate::observe::{Observed, as_deployment};
use crate::scaling::handover::release_replicas;
use crate::validate::ValidModel;

/// What became of the children.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Kinds that were written in this pass.
    pub written: Vec<ChildKind>,
    /// Children that the API server refused, or that belong to somebody else.
    pub refused: Vec<Refusal>,
    /// The Deployment as the API server returned it, when it was written.
    pub deployment: Option<Deployment>,
}

/// A child that could not be applied, although the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kind of the child.
    pub kind: ChildKind,
    /// Name of the child.
    pub name: String,
    /// What stands in the way.
    pub cause: RefusalCause,
}

/// Why a child could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// The object exists and another owner controls it, or nobody.
    NameConflict,
    /// The API server said no.
    Api {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The cluster does not know the kind.
    KindMissing,
}

/// Applies the children of a model, in their order. A refused child does not keep the others back.
///
/// # Errors
/// The API server can't be reached, or asks for patience; the pass is to be repeated.
pub async fn apply(
    client: &Client,
    (model, children): (&ValidModel, Children),
    observed: &Observed,
    metrics: &Metrics,
) -> Result<Applied, kube::Error> {
    let mut applied = Applied::default();
    let children = children.into_list(model).map_err(kube::Error::SerdeError)?;
    for child in children {
        if observed.missing_kinds.contains(&child.kind) {
            applied.refused.push(refusal(&child, RefusalCause::KindMissing));
            continue;
        }
        let live = observed.children.get(&(child.kind, child.name.clone()));
        let shell = Shell { client, model, metrics };
        match shell.apply_child(&child, live.map(AsRef::as_ref)).await {
            Ok(Outcome::Kept) => {}
            Ok(Outcome::Deleted) => applied.written.push(child.kind),
            Ok(Outcome::Applied(object)) => {
                info!(kind = child.kind.as_str(), namespace = model.namespace, name = child.name, "Applied a child");
                applied.written.push(child.kind);
                if child.kind == ChildKind::Deployment {
                    applied.deployment = as_deployment(&object);
                }
            }
            Err(Failure::Refused(cause)) => applied.refused.push(refusal(&child, cause)),
            Err(Failure::Transient(error)) => return Err(error),
        }
    }
    Ok(applied)
}

fn refusal(child: &Child, cause: RefusalCause) -> Refusal {
    Refusal { kind: child.kind, name: child.name.clone(), cause }
}

/// What has to be done about a child.
#[derive(Debug, PartialEq)]
enum Plan<'a> {
    Keep,
    Apply(&'a DynamicObject),
    /// The cache shows no managed object of the name; there may still be a foreign one.
    Create(&'a DynamicObject),
    Delete,
    Conflict,
}

fn plan<'a>(desired: Option<&'a DynamicObject>, live: Option<&DynamicObject>, owner: &str) -> Plan<'a> {
    match (desired, live) {
        (None, None) => Plan::Keep,
        (Some(desired), None) => Plan::Create(desired),
        (Some(_), Some(live)) if !is_controlled_by(live.owner_references(), owner) => Plan::Conflict,
        (Some(desired), Some(live)) if is_applied(desired, live) => Plan::Keep,
        (Some(desired), Some(_)) => Plan::Apply(desired),
        (None, Some(live)) if is_controlled_by(live.owner_references(), owner) => Plan::Delete,
        (None, Some(_)) => Plan::Keep,
    }
}

fn is_applied(desired: &DynamicObject, live: &DynamicObject) -> bool {
    let hash = |object: &DynamicObject| object.annotations().get(HASH_ANNOTATION).cloned();
    hash(desired) == hash(live) && compare::object_contains(live, desired)
}

fn is_controlled_by(owners: &[OwnerReference], uid: &str) -> bool {
    owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

enum Outcome {
    Kept,
    Applied(Box<DynamicObject>),
    Deleted,
}

enum Failure {
    Refused(RefusalCause),
    Transient(kube::Error),
}

/// The requests, and nothing that could be decided without one.
struct Shell<'a> {
    client: &'a Client,
    model: &'a ValidModel,
    metrics: &'a Metrics,
}

impl Shell<'_> {
    async fn apply_child(&self, child: &Child, live: Option<&DynamicObject>) -> Result<Outcome, Failure> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.model.namespace, &child.kind.api_resource());
        match plan(child.object.as_ref(), live, &self.model.uid) {
            Plan::Keep => Ok(Outcome::Kept),
            Plan::Conflict => Err(Failure::Refused(RefusalCause::NameConflict)),
            Plan::Create(object) => {
                self.refuse_foreign(&api, &child.name).await?;
                release_replicas(&api, child.kind, self.model).await.map_err(Failure::Transient)?;
                self.patch(&api, child, Patch::Apply(object)).await
            }
            Plan::Apply(object) => {
                release_replicas(&api, child.kind, self.model).await.map_err(Failure::Transient)?;
                self.mend(&api, child, object).await
            }
            Plan::Delete => self.delete(&api, child).await,
        }
    }

    /// Forcing the fields of an object that somebody else made would take it over.
    async fn refuse_foreign(&self, api: &Api<DynamicObject>, name: &str) -> Result<(), Failure> {
        match api.get_metadata_opt(name).await.map_err(failure)? {
            Some(found) if !is_controlled_by(found.owner_references(), &self.model.uid) => {
                Err(Failure::Refused(RefusalCause::NameConflict))
            }
            _ => Ok(()),
        }
    }

    async fn delete(&self, api: &Api<DynamicObject>, child: &Child) -> Result<Outcome, Failure> {
        let result = api.delete(&child.name, &DeleteParams::default()).await;
        self.metrics.write(child.kind.as_str(), result.is_ok());
        result.map(|_| Outcome::Deleted).map_err(failure)
    }

    async fn mend(&self, api: &Api<DynamicObject>, child: &Child, object: &DynamicObject) -> Result<Outcome, Failure> {
        match self.patch(api, child, Patch::Apply(object)).await {
            // Somebody changed the key of a list's element, such as the port of a Service. Apply keeps that element
            // and adds ours, and the two contradict each other; a merge patch replaces the list as a whole.
            Err(Failure::Refused(RefusalCause::Api { code: 422, .. })) => {
                let spec = serde_json::json!({"spec": object.data.get("spec")});
                self.patch(api, child, Patch::Merge(&spec)).await?;
                self.patch(api, child, Patch::Apply(object)).await
            }
            outcome => outcome,
        }
    }

    async fn patch<P: Serialize + Debug>(
        &self,
        api: &Api<DynamicObject>,
        child: &Child,
        patch: Patch<P>,
    ) -> Result<Outcome, Failure> {
        let params = match patch {
            Patch::Apply(_) => PatchParams::apply(MANAGER).force(),
            _ => PatchParams { field_manager: Some(MANAGER.into()), ..Default::default() },
        };
        let result = api.patch(&child.name, &params, &patch).await;
        self.metrics.write(child.kind.as_str(), result.is_ok());
        result.map(|object| Outcome::Applied(Box::new(object))).map_err(failure)
    }
}

/// A refusal is the API server's considered no; everything else is worth another try.
fn failure(error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 405 | 409 | 413 | 415 | 422) => {
            Failure::Refused(RefusalCause::Api { code: status.code, message: status.message.clone() })
        }
        error => Failure::Transient(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(owner: Option<&str>, hash: &str, data: &serde_json::Value) -> DynamicObject {
        let owners: Vec<_> = owner
            .iter()
            .map(|uid| json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": uid, "controller": true}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": "a", "annotations": {HASH_ANNOTATION: hash}, "ownerReferences": owners},
        }))
        .unwrap()
    }

    #[test]
    fn an_object_that_holds_what_is_wanted_is_kept() {
        let wanted = object(Some("u"), "h", &json!({"a": "1"}));
        let live = object(Some("u"), "h", &json!({"a": "1", "added-by-another": "2"}));
        assert_eq!(plan(Some(&wanted), Some(&live), "u"), Plan::Keep);
    }

    #[test]
    fn an_edited_field_and_a_field_that_is_no_longer_wanted_are_applied_again() {
        let wanted = object(Some("u"), "h", &json!({"a": "1"}));
        assert_eq!(plan(Some(&wanted), Some(&object(Some("u"), "h", &json!({"a": "9"}))), "u"), Plan::Apply(&wanted));
        let before = object(Some("u"), "older", &json!({"a": "1", "dropped": "2"}));
        assert_eq!(plan(Some(&wanted), Some(&before), "u"), Plan::Apply(&wanted));
    }

    #[test]
    fn an_object_of_another_owner_is_left_alone() {
        let wanted = object(Some("u"), "h", &json!({}));
        for owner in [None, Some("other")] {
            let live = object(owner, "h", &json!({}));
            assert_eq!(plan(Some(&wanted), Some(&live), "u"), Plan::Conflict);
            assert_eq!(plan(None, Some(&live), "u"), Plan::Keep);
        }
    }

    #[test]
    fn a_child_that_is_no_longer_wanted_is_deleted_once() {
        let live = object(Some("u"), "h", &json!({}));
        assert_eq!(plan(None, Some(&live), "u"), Plan::Delete);
        assert_eq!(plan(None, None, "u"), Plan::Keep);
    }
}
