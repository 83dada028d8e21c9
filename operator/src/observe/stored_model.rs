//! A model as the cache stores it.

use std::sync::Arc;

use belfry_crds::status::{ChildState, ChildStatus, RuntimeStatus};
use belfry_crds::{InferenceModel, InferenceModelSpec, InferenceModelStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};

use super::live_child::version;
use super::texts::share;
use belfry_render::children::metadata::ContentHash;
use belfry_render::validate::wanted_replicas;

/// The whole specification once more, for `kubectl apply`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A model whose status takes a quarter of the room. Its conditions and objects are sixty texts, of which nearly all are the same
/// in every model.
#[derive(Debug)]
pub struct StoredModel {
    /// Without the fields of its managers, and what `kubectl apply` left for itself.
    pub metadata: ObjectMeta,
    /// The specification.
    pub spec: InferenceModelSpec,
    status: Option<Box<StoredStatus>>,
    version: u64,
}

#[derive(Debug)]
struct StoredStatus {
    conditions: Box<[StoredCondition]>,
    children: Box<[StoredChild]>,
    /// All that is neither a condition nor an object.
    rest: InferenceModelStatus,
}

#[derive(Debug)]
struct StoredCondition {
    type_: Arc<str>,
    status: Arc<str>,
    reason: Arc<str>,
    message: Arc<str>,
    observed_generation: Option<i64>,
    since: Time,
}

#[derive(Debug)]
struct StoredChild {
    group: Arc<str>,
    kind: Arc<str>,
    name: Arc<str>,
    /// `None` for a text that is no hash, which no operator wrote.
    hash: Option<ContentHash>,
    state: ChildState,
    reason: Option<Arc<str>>,
}

impl StoredModel {
    /// Stores a model.
    pub(super) fn of(model: InferenceModel) -> Self {
        let version = version(&model);
        let InferenceModel { mut metadata, spec, status } = model;
        metadata.managed_fields = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        Self { metadata, spec, status: status.map(|status| Box::new(StoredStatus::of(status))), version }
    }

    /// The model as the API server sent it, but for what is left out of the metadata.
    #[must_use]
    pub fn whole(&self) -> InferenceModel {
        let status = self.status.as_ref().map(|status| status.whole());
        InferenceModel { metadata: self.metadata.clone(), spec: self.spec.clone(), status }
    }

    /// Its resource version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The generation that its status describes.
    #[must_use]
    pub fn observed_generation(&self) -> Option<i64> {
        self.status.as_ref()?.rest.observed_generation
    }

    /// What runs it, by its status.
    #[must_use]
    pub fn runtime(&self) -> Option<&RuntimeStatus> {
        self.status.as_ref()?.rest.runtime.as_ref()
    }

    /// Number of worker pods that it wants.
    #[must_use]
    pub fn wanted_replicas(&self) -> i32 {
        wanted_replicas(&self.spec, self.status.as_ref().map(|status| &status.rest))
    }

    /// Type, status and reason of each condition.
    pub fn conditions(&self) -> impl Iterator<Item = [&str; 3]> {
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        conditions.map(|condition| [&*condition.type_, &*condition.status, &*condition.reason])
    }

    /// The state of each object; `None` without a status.
    #[must_use]
    pub fn child_states(&self) -> Option<impl Iterator<Item = ChildState> + Clone> {
        Some(self.status.as_ref()?.children.iter().map(|child| child.state))
    }
}

impl StoredStatus {
    fn of(mut status: InferenceModelStatus) -> Self {
        let conditions = std::mem::take(&mut status.conditions).iter().map(StoredCondition::of).collect();
        let children = std::mem::take(&mut status.children).iter().map(StoredChild::of).collect();
        Self { conditions, children, rest: status }
    }

    fn whole(&self) -> InferenceModelStatus {
        InferenceModelStatus {
            conditions: self.conditions.iter().map(StoredCondition::whole).collect(),
            children: self.children.iter().map(StoredChild::whole).collect(),
            ..self.rest.clone()
        }
    }
}

impl StoredCondition {
    fn of(condition: &Condition) -> Self {
        Self {
            type_: share(&condition.type_),
            status: share(&condition.status),
            reason: share(&condition.reason),
            message: share(&condition.message),
            observed_generation: condition.observed_generation,
            since: condition.last_transition_time.clone(),
        }
    }

    fn whole(&self) -> Condition {
        Condition {
            type_: (*self.type_).into(),
            status: (*self.status).into(),
            reason: (*self.reason).into(),
            message: (*self.message).into(),
            observed_generation: self.observed_generation,
            last_transition_time: self.since.clone(),
        }
    }
}

impl StoredChild {
    fn of(child: &ChildStatus) -> Self {
        Self {
            group: share(&child.group),
            kind: share(&child.kind),
            name: share(&child.name),
            hash: ContentHash::parse(&child.hash),
            state: child.state,
            reason: child.reason.as_ref().map(|reason| share(reason)),
        }
    }

    fn whole(&self) -> ChildStatus {
        ChildStatus {
            group: (*self.group).into(),
            kind: (*self.kind).into(),
            name: (*self.name).into(),
            hash: self.hash.map(|hash| hash.to_string()).unwrap_or_default(),
            state: self.state,
            reason: self.reason.as_deref().map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn condition(type_: &str, message: &str) -> Value {
        json!({
            "type": type_, "status": "False", "reason": "Loading", "message": message, "observedGeneration": 2,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        })
    }

    fn model(name: &str) -> InferenceModel {
        let children = json!([
            {"group": "", "kind": "Service", "name": name, "hash": "00a1b2c3d4e5f607", "state": "Applied"},
            {"group": "apps", "kind": "Deployment", "name": name, "hash": "ffa1b2c3d4e5f607", "state": "Refused", "reason": "NameTaken"},
        ]);
        let runtime = json!({
            "image": "worker:1", "defaultImage": "worker:1", "templateRevision": "v1", "availableTemplateRevision": "v2",
            "upgrade": "Available",
        });
        let status = json!({
            "observedGeneration": 2, "replicas": 2, "readyReplicas": 1, "loaded": "1/2", "scaledReplicas": 2,
            "scaledBy": "hpa/other", "endpoint": "http://m", "runtime": runtime, "objects": children,
            "conditions": [condition("Ready", "waits for its model"), condition("Available", "")],
            "lastFailure": {"pod": "m-1", "reason": "ModelNotFound", "message": "no such file", "exitCode": 3},
        });
        let object = json!({
            "apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel",
            "metadata": {"name": name, "namespace": "search", "uid": "u", "resourceVersion": "7", "labels": {"team": "a"}},
            "spec": {"task": "Embedding", "model": {"source": {"huggingFace": {"repo": "owner/name", "revision": "main"}}}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_stored_model_is_the_model_that_came() {
        let mut without = model("new");
        without.status = None;
        for model in [model("minilm"), without] {
            let stored = StoredModel::of(model.clone());
            assert_eq!(json!(stored.whole()), json!(model));
            assert_eq!(stored.whole().status, model.status);
        }
    }

    #[test]
    fn what_others_left_in_the_metadata_for_themselves_is_not_stored() {
        let mut model = model("minilm");
        let theirs =
            [(LAST_APPLIED, "{}"), ("team", "search")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        model.metadata.annotations = Some(theirs.into());
        model.metadata.managed_fields = Some(vec![Default::default()]);
        let whole = StoredModel::of(model).whole();
        assert_eq!(whole.metadata.managed_fields, None);
        assert!(whole.metadata.annotations.unwrap().into_keys().eq(["team".to_owned()]));
    }

    #[test]
    fn what_is_read_without_the_whole_is_what_the_whole_says() {
        let stored = StoredModel::of(model("minilm"));
        assert_eq!((stored.version(), stored.observed_generation(), stored.wanted_replicas()), (7, Some(2), 2));
        assert_eq!(stored.runtime().unwrap().image, "worker:1");
        let conditions: Vec<_> = stored.conditions().collect();
        assert_eq!(conditions, [["Ready", "False", "Loading"], ["Available", "False", "Loading"]]);
        let states: Vec<_> = stored.child_states().unwrap().collect();
        assert_eq!(states, [ChildState::Applied, ChildState::Refused]);
    }

    #[test]
    fn two_models_share_the_words_that_they_have_in_common() {
        let [one, other] = ["a", "b"].map(|name| StoredModel::of(model(name)).status.unwrap());
        assert!(Arc::ptr_eq(&one.conditions[0].message, &other.conditions[0].message));
        assert!(Arc::ptr_eq(&one.children[0].kind, &other.children[0].kind));
        assert!(!Arc::ptr_eq(&one.children[0].name, &other.children[0].name));
    }
}
