//! The Prometheus objects of the cluster, and the labels of its namespaces: who selects what was written for a model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use kube::core::{ApiResource, DynamicObject};
use parking_lot::RwLock;

use super::selection::{Labels, Selection, Selects, selection};
use super::sink::Sink;
use super::{Cache, Cause, Trigger, Urgency};

/// Name of the definition of the kind.
pub(super) const DEFINITION: &str = "prometheuses.monitoring.coreos.com";

/// The kind of the Prometheus Operator that says what a Prometheus reads.
#[must_use]
pub fn prometheus_resource() -> ApiResource {
    ApiResource {
        group: "monitoring.coreos.com".into(),
        version: "v1".into(),
        api_version: "monitoring.coreos.com/v1".into(),
        kind: "Prometheus".into(),
        plural: "prometheuses".into(),
    }
}

/// What is known of them.
#[derive(Default)]
pub struct Prometheuses {
    selects: RwLock<BTreeMap<(String, String), Selects>>,
    namespaces: RwLock<BTreeMap<String, Labels>>,
}

impl Prometheuses {
    /// Who selects objects with these labels in this namespace.
    #[must_use]
    pub fn selection(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Selection {
        let namespaces = self.namespaces.read();
        let none = Labels::new();
        let of_namespace = namespaces.get(namespace).unwrap_or(&none);
        selection(self.selects.read().values(), (namespace, of_namespace), labels)
    }

    /// Forgets everything, as when the kind is gone. Returns whether there was anything.
    pub(super) fn clear(&self) -> bool {
        self.namespaces.write().clear();
        let mut selects = self.selects.write();
        let had = !selects.is_empty();
        selects.clear();
        had
    }
}

/// Every model is concerned.
pub(super) fn all_models(cache: &Cache, is_news: bool) -> Vec<Trigger> {
    let keys = if is_news { cache.keys() } else { vec![] };
    keys.into_iter().map(|key| Trigger { key, urgency: Urgency::Status, cause: Cause::PrometheusChanged }).collect()
}

/// Takes every Prometheus object into the cache.
pub(super) struct PrometheusesSink {
    cache: Arc<Cache>,
    listed: BTreeSet<(String, String)>,
}

impl PrometheusesSink {
    pub(super) const fn new(cache: Arc<Cache>) -> Self {
        Self { cache, listed: BTreeSet::new() }
    }
}

fn id(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl Sink for PrometheusesSink {
    type Object = DynamicObject;

    fn begin(&mut self) {
        self.listed.clear();
    }

    fn seen(&mut self, object: DynamicObject) -> Vec<Trigger> {
        let (id, now) = (id(&object), Selects::of(&object));
        self.listed.insert(id.clone());
        // Its status changes often.
        let before = self.cache.prometheuses().selects.write().insert(id, now.clone());
        all_models(&self.cache, before != Some(now))
    }

    fn gone(&mut self, object: &DynamicObject) -> Vec<Trigger> {
        let before = self.cache.prometheuses().selects.write().remove(&id(object));
        all_models(&self.cache, before.is_some())
    }

    fn end(&mut self) -> Vec<Trigger> {
        let listed = std::mem::take(&mut self.listed);
        let is_news = {
            let mut selects = self.cache.prometheuses().selects.write();
            let before = selects.len();
            selects.retain(|id, _| listed.contains(id));
            selects.len() < before
        };
        all_models(&self.cache, is_news)
    }
}

/// Takes the labels of every namespace into the cache.
pub(super) struct NamespacesSink {
    cache: Arc<Cache>,
    listed: BTreeSet<String>,
}

impl NamespacesSink {
    pub(super) const fn new(cache: Arc<Cache>) -> Self {
        Self { cache, listed: BTreeSet::new() }
    }

    fn models_of(&self, namespace: &str) -> Vec<Trigger> {
        let mut triggers = all_models(&self.cache, true);
        triggers.retain(|trigger| &*trigger.key.namespace == namespace);
        triggers
    }
}

impl Sink for NamespacesSink {
    type Object = PartialObjectMeta<Namespace>;

    fn begin(&mut self) {
        self.listed.clear();
    }

    fn seen(&mut self, namespace: Self::Object) -> Vec<Trigger> {
        let (name, labels) = (namespace.name_any(), namespace.labels().clone());
        self.listed.insert(name.clone());
        let before = self.cache.prometheuses().namespaces.write().insert(name.clone(), labels.clone());
        if before.as_ref() == Some(&labels) { vec![] } else { self.models_of(&name) }
    }

    fn gone(&mut self, namespace: &Self::Object) -> Vec<Trigger> {
        self.cache.prometheuses().namespaces.write().remove(&namespace.name_any());
        vec![]
    }

    fn end(&mut self) -> Vec<Trigger> {
        let listed = std::mem::take(&mut self.listed);
        self.cache.prometheuses().namespaces.write().retain(|name, _| listed.contains(name));
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::InferenceModel;
    use serde_json::{Value, json};

    fn prometheus(spec: &Value, status: u32) -> DynamicObject {
        let object = json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
            "metadata": {"namespace": "monitoring", "name": "k8s"}, "spec": spec, "status": {"replicas": status},
        });
        serde_json::from_value(object).unwrap()
    }

    fn namespace(name: &str, labels: &Value) -> PartialObjectMeta<Namespace> {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
    }

    fn cache_with_a_model() -> Arc<Cache> {
        let spec = json!({"task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}}});
        let mut model = InferenceModel::new("m", serde_json::from_value(spec).unwrap());
        model.metadata.namespace = Some("search".into());
        let cache = Arc::new(Cache::default());
        cache.model_seen(model);
        cache
    }

    #[test]
    fn every_model_gets_a_pass_when_another_is_selected_and_none_for_a_status() {
        let cache = cache_with_a_model();
        let mut sink = PrometheusesSink::new(cache.clone());
        sink.begin();
        assert_eq!(sink.seen(prometheus(&json!({}), 0)).len(), 1);
        assert!(sink.end().is_empty());
        assert!(sink.seen(prometheus(&json!({}), 1)).is_empty());
        assert_eq!(sink.seen(prometheus(&json!({"ruleSelector": {}}), 1)).len(), 1);
        sink.begin();
        assert_eq!(sink.end().len(), 1, "a new list does not name it");
        assert_eq!(cache.prometheuses().selection("search", &Labels::new()), Selection::Unknown);
    }

    #[test]
    fn the_models_of_a_namespace_get_a_pass_when_its_labels_change() {
        let cache = cache_with_a_model();
        let mut sink = NamespacesSink::new(cache.clone());
        assert!(sink.seen(namespace("other", &json!({"a": "b"}))).is_empty());
        assert_eq!(sink.seen(namespace("search", &json!({"a": "b"}))).len(), 1);
        assert!(sink.seen(namespace("search", &json!({"a": "b"}))).is_empty());
    }
}
