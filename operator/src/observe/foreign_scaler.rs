//! Scalers that others made for the workers of a model.
//!
//! Two who decide one number undo each other's work every few seconds. So the operator has to know of the other one, also
//! where it was not asked to scale itself. A ScaledObject is seen by the HorizontalPodAutoscaler that KEDA makes for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belfry_render::children::metadata::MANAGER;
use kube::ResourceExt;
use kube::core::DynamicObject;
use parking_lot::RwLock;

use super::sink::Sink;
use super::{Cache, Cause, ModelKey, Trigger, Urgency};

/// A HorizontalPodAutoscaler that is not the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignScaler {
    /// Its name.
    pub name: String,
    /// What it writes its number to.
    pub target: ScaleTarget,
}

/// What a scaler of others writes its number to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleTarget {
    /// The Deployment of the workers, behind the model's back.
    Deployment,
    /// `spec.replicas` of the model, which is theirs to write.
    Model,
}

/// The scalers of others, by namespace and name, each with the model that it scales.
#[derive(Default)]
pub struct ForeignScalers {
    scalers: RwLock<BTreeMap<(String, String), (ModelKey, ForeignScaler)>>,
}

impl ForeignScalers {
    /// Those of a model.
    pub(super) fn of(&self, model: &ModelKey) -> Vec<ForeignScaler> {
        let scalers = self.scalers.read();
        let first = (model.namespace.to_string(), String::new());
        let near = scalers.range(first..).take_while(|((namespace, _), _)| **namespace == *model.namespace);
        near.filter(|(_, (key, _))| key == model).map(|(_, (_, scaler))| scaler.clone()).collect()
    }

    /// Notes what a scaler of that name scales now. Returns the models for which that is news.
    fn set(&self, id: (String, String), now: Option<(ModelKey, ForeignScaler)>) -> Vec<ModelKey> {
        let mut scalers = self.scalers.write();
        let before = match &now {
            Some(now) => scalers.insert(id, now.clone()),
            None => scalers.remove(&id),
        };
        if before == now {
            return vec![];
        }
        let concerned: BTreeSet<_> = [before, now].into_iter().flatten().map(|(key, _)| key).collect();
        concerned.into_iter().collect()
    }

    fn names(&self) -> Vec<(String, String)> {
        self.scalers.read().keys().cloned().collect()
    }
}

/// The model that a HorizontalPodAutoscaler of others scales.
fn read(object: &DynamicObject) -> Option<(ModelKey, ForeignScaler)> {
    // KEDA gives its own HorizontalPodAutoscaler the labels of our ScaledObject.
    let is_labelled = object.labels().get("app.kubernetes.io/managed-by").is_some_and(|manager| manager == MANAGER);
    let is_owned = object.owner_references().iter().any(|owner| owner.kind == "InferenceModel");
    if is_labelled || is_owned {
        return None;
    }
    let target = object.data.pointer("/spec/scaleTargetRef")?;
    let group = target["apiVersion"].as_str().unwrap_or_default().split('/').next()?;
    let kind = match (group, target["kind"].as_str()?) {
        ("apps", "Deployment") => ScaleTarget::Deployment,
        ("belfry.dev", "InferenceModel") => ScaleTarget::Model,
        _ => return None,
    };
    let key = ModelKey::new(&object.namespace()?, target["name"].as_str()?);
    Some((key, ForeignScaler { name: object.name_any(), target: kind }))
}

/// Takes every HorizontalPodAutoscaler into the cache that scales a model and is not the operator's.
pub(super) struct ScalersSink {
    cache: Arc<Cache>,
    namespace: Option<String>,
    listed: BTreeSet<(String, String)>,
}

impl ScalersSink {
    pub(super) const fn new(cache: Arc<Cache>, namespace: Option<String>) -> Self {
        Self { cache, namespace, listed: BTreeSet::new() }
    }

    fn note(&self, id: (String, String), now: Option<(ModelKey, ForeignScaler)>) -> Vec<Trigger> {
        let concerned = self.cache.foreign_scalers().set(id, now).into_iter();
        concerned.map(|key| Trigger { key, urgency: Urgency::Children, cause: Cause::ForeignScaler }).collect()
    }
}

fn id(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl Sink for ScalersSink {
    type Object = DynamicObject;

    fn begin(&mut self) {
        self.listed.clear();
    }

    fn seen(&mut self, object: DynamicObject) -> Vec<Trigger> {
        let now = read(&object);
        if now.is_some() {
            self.listed.insert(id(&object));
        }
        self.note(id(&object), now)
    }

    fn gone(&mut self, object: &DynamicObject) -> Vec<Trigger> {
        self.note(id(object), None)
    }

    fn end(&mut self) -> Vec<Trigger> {
        let listed = std::mem::take(&mut self.listed);
        let covers = |namespace: &String| self.namespace.as_ref().is_none_or(|own| own == namespace);
        let gone = self.cache.foreign_scalers().names();
        let gone = gone.into_iter().filter(|id| covers(&id.0) && !listed.contains(id));
        gone.flat_map(|id| self.note(id, None)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn scaler(name: &str, target: Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": "search", "name": name}, "spec": {"scaleTargetRef": target},
        });
        serde_json::from_value(object).unwrap()
    }

    fn deployment(name: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
    }

    fn key(name: &str) -> ModelKey {
        ModelKey { namespace: "search".into(), name: name.into() }
    }

    fn keys(triggers: Vec<Trigger>) -> Vec<String> {
        triggers.into_iter().map(|trigger| trigger.key.name.to_string()).collect()
    }

    #[test]
    fn a_scaler_of_others_is_known_by_what_it_scales() {
        let target = |object: &DynamicObject| read(object).map(|(key, scaler)| (key.name, scaler.target));
        assert_eq!(target(&scaler("h", deployment("m"))), Some(("m".into(), ScaleTarget::Deployment)));
        let model = json!({"apiVersion": "belfry.dev/v1alpha1", "kind": "InferenceModel", "name": "m"});
        assert_eq!(target(&scaler("h", model)), Some(("m".into(), ScaleTarget::Model)));
        assert_eq!(target(&scaler("h", json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "m"}))), None);
        let mut own = scaler("m", deployment("m"));
        own.labels_mut().insert("app.kubernetes.io/managed-by".into(), MANAGER.into());
        assert_eq!(target(&own), None, "the operator's own, or KEDA's for it");
    }

    #[test]
    fn only_news_ask_for_a_pass_and_both_models_of_a_scaler_that_moves_get_one() {
        let cache = Arc::new(Cache::default());
        let mut sink = ScalersSink::new(cache.clone(), None);
        assert_eq!(keys(sink.seen(scaler("h", deployment("a")))), ["a"]);
        assert!(sink.seen(scaler("h", deployment("a"))).is_empty(), "its status changes every 15 s");
        assert_eq!(keys(sink.seen(scaler("h", deployment("b")))), ["a", "b"]);
        assert!(cache.foreign_scalers().of(&key("a")).is_empty());
        assert_eq!(cache.foreign_scalers().of(&key("b"))[0].name, "h");
        assert_eq!(keys(sink.gone(&scaler("h", deployment("b")))), ["b"]);
    }

    #[test]
    fn a_scaler_that_a_new_list_does_not_name_is_forgotten() {
        let cache = Arc::new(Cache::default());
        let mut sink = ScalersSink::new(cache.clone(), Some("search".into()));
        sink.seen(scaler("h", deployment("m")));
        let mut elsewhere = ScalersSink::new(cache.clone(), Some("other".into()));
        elsewhere.begin();
        assert!(elsewhere.end().is_empty(), "its list covers another namespace");
        sink.begin();
        assert_eq!(keys(sink.end()), ["m"]);
        assert!(cache.foreign_scalers().of(&key("m")).is_empty());
    }
}
