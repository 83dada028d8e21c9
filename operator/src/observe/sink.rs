//! What each watch does with its events: it notes them in the cache, and names the models that they concern.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use kube::core::DynamicObject;
use tracing::error;

use super::listing::Listing;
use super::live_child::version;
use super::{Cache, Cause, Compare, Content, Guarded, ModelKey, Place, Trigger, Urgency};
use belfry_render::kind::ChildKind;

/// What a watch does with its events. Each answer names the models that are concerned.
pub(super) trait Sink {
    type Object;
    fn begin(&mut self);
    fn seen(&mut self, object: Self::Object) -> Vec<Trigger>;
    fn gone(&mut self, object: &Self::Object) -> Vec<Trigger>;
    fn end(&mut self) -> Vec<Trigger>;
}

pub(super) struct Models {
    pub(super) cache: Arc<Cache>,
    pub(super) namespace: Option<String>,
    pub(super) listing: Listing,
}

impl Sink for Models {
    type Object = Guarded;

    fn begin(&mut self) {
        self.listing.begin();
    }

    fn seen(&mut self, model: Guarded) -> Vec<Trigger> {
        let key = ModelKey::of(&model);
        self.listing.saw(&key, "");
        match model.0 {
            Ok(model) => {
                if !self.cache.model_seen(model) {
                    return vec![];
                }
            }
            Err(invalid) => {
                error!(model = %key, error = %invalid.error, "Could not decode a model; a change of it is needed");
                self.cache.model_undecodable(&key);
                return vec![gone(key)];
            }
        }
        vec![Trigger { key, urgency: Urgency::Children, cause: Cause::ModelChanged }]
    }

    fn gone(&mut self, model: &Guarded) -> Vec<Trigger> {
        let key = ModelKey::of(model);
        self.cache.model_gone(&key, version(model));
        vec![gone(key)]
    }

    fn end(&mut self) -> Vec<Trigger> {
        let keys = self.cache.keep_models(self.namespace.as_deref(), &self.listing.end());
        keys.into_iter().map(gone).collect()
    }
}

pub(super) struct Pods {
    pub(super) cache: Arc<Cache>,
    pub(super) namespace: Option<String>,
    pub(super) listing: Listing,
}

impl Sink for Pods {
    type Object = Pod;

    fn begin(&mut self) {
        self.listing.begin();
    }

    fn seen(&mut self, pod: Pod) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(&pod) else { return vec![] };
        self.listing.saw(&key, &pod.name_any());
        self.cache.pod_seen(&key, &pod);
        vec![pod_changed(key)]
    }

    fn gone(&mut self, pod: &Pod) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(pod) else { return vec![] };
        self.cache.pod_gone(&key, &pod.name_any());
        vec![pod_changed(key)]
    }

    fn end(&mut self) -> Vec<Trigger> {
        let keys = self.cache.keep_pods(self.namespace.as_deref(), &self.listing.end());
        keys.into_iter().map(pod_changed).collect()
    }
}

pub(super) struct Children {
    pub(super) compare: Arc<dyn Compare>,
    pub(super) cache: Arc<Cache>,
    pub(super) kind: ChildKind,
    pub(super) namespace: Option<String>,
    pub(super) listing: Listing,
}

impl Children {
    fn found(&mut self, object: &impl ResourceExt, content: Content<'_>) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(object) else { return vec![] };
        self.listing.saw(&key, &object.name_any());
        let (kind, compare) = (self.kind, &self.compare);
        let urgency = self.cache.child_seen(&key, kind, (object, content), |model, object, deployed| {
            compare.holds(&key, (kind, object), model, deployed)
        });
        urgency.map(|urgency| Trigger { key, urgency, cause: Cause::ChildChanged(kind) }).into_iter().collect()
    }

    fn lost(&self, object: &impl ResourceExt) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(object) else { return vec![] };
        self.cache.child_gone(&key, self.kind, &object.name_any(), version(object));
        vec![self.deleted(key)]
    }

    const fn deleted(&self, key: ModelKey) -> Trigger {
        Trigger { key, urgency: Urgency::Children, cause: Cause::ChildGone(self.kind) }
    }
}

impl Sink for Children {
    type Object = DynamicObject;

    fn begin(&mut self) {
        self.listing.begin();
    }

    fn seen(&mut self, object: DynamicObject) -> Vec<Trigger> {
        self.found(&object, Content::Whole(&object))
    }

    fn gone(&mut self, object: &DynamicObject) -> Vec<Trigger> {
        self.lost(object)
    }

    fn end(&mut self) -> Vec<Trigger> {
        let keys = self.cache.keep_children(self.kind, self.namespace.as_deref(), &self.listing.end());
        keys.into_iter().map(|key| self.deleted(key)).collect()
    }
}

/// Children of which a watch shows the metadata.
pub(super) struct Glimpses(pub(super) Children);

impl Sink for Glimpses {
    type Object = PartialObjectMeta<DynamicObject>;

    fn begin(&mut self) {
        self.0.begin();
    }

    fn seen(&mut self, object: Self::Object) -> Vec<Trigger> {
        self.0.found(&object, Content::Metadata)
    }

    fn gone(&mut self, object: &Self::Object) -> Vec<Trigger> {
        self.0.lost(object)
    }

    fn end(&mut self) -> Vec<Trigger> {
        self.0.end()
    }
}

const fn gone(key: ModelKey) -> Trigger {
    Trigger { key, urgency: Urgency::Children, cause: Cause::ModelGone }
}

const fn pod_changed(key: ModelKey) -> Trigger {
    Trigger { key, urgency: Urgency::Status, cause: Cause::PodChanged }
}

/// Takes what the watch of nodes says into the cache: three labels of each.
pub(super) struct NodesSink {
    cache: Arc<Cache>,
    listed: BTreeSet<String>,
}

impl NodesSink {
    pub(super) fn new(cache: Arc<Cache>) -> Self {
        Self { cache, listed: BTreeSet::new() }
    }
}

impl Sink for NodesSink {
    type Object = PartialObjectMeta<Node>;

    fn begin(&mut self) {
        self.listed.clear();
    }

    /// No pass depends on a node, so that none is asked for: the next scrape reads the new place.
    fn seen(&mut self, node: Self::Object) -> Vec<Trigger> {
        let (name, place) = (node.name_any(), Place::of(node.labels()));
        self.cache.nodes().set(&name, place);
        self.listed.insert(name);
        vec![]
    }

    fn gone(&mut self, node: &Self::Object) -> Vec<Trigger> {
        self.cache.nodes().remove(&node.name_any());
        vec![]
    }

    fn end(&mut self) -> Vec<Trigger> {
        let listed = std::mem::take(&mut self.listed);
        self.cache.nodes().keep(&listed);
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, zone: &str) -> PartialObjectMeta<Node> {
        let labels = serde_json::json!({"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name});
        serde_json::from_value(serde_json::json!({"metadata": {"name": name, "labels": labels}})).unwrap()
    }

    fn zones(cache: &Cache) -> Vec<(String, String)> {
        cache.nodes().places().iter().map(|(name, place)| (name.clone(), place.zone.clone())).collect()
    }

    fn pair(name: &str, zone: &str) -> (String, String) {
        (name.to_owned(), zone.to_owned())
    }

    #[test]
    fn a_node_that_a_new_list_does_not_name_is_forgotten() {
        let cache = Arc::new(Cache::default());
        let mut sink = NodesSink::new(cache.clone());
        sink.begin();
        assert_eq!((sink.seen(node("a", "1")), sink.seen(node("b", "2")), sink.end()), (vec![], vec![], vec![]));
        sink.seen(node("c", "3"));
        assert_eq!(zones(&cache), [pair("a", "1"), pair("b", "2"), pair("c", "3")]);
        sink.begin();
        sink.seen(node("b", "4"));
        sink.seen(node("c", "3"));
        sink.end();
        assert_eq!(zones(&cache), [pair("b", "4"), pair("c", "3")]);
        sink.gone(&node("b", "4"));
        assert_eq!(zones(&cache), [pair("c", "3")]);
    }
}
