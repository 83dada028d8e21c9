//! Where the cluster's nodes are, for the series about models.
//!
//! Nodes are no object of a namespace, so that only an operator with a ClusterRole reads them. Without that right, places
//! are unknown, and nothing else is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

use super::watches::Sink;
use super::{Cache, Place, Trigger};

/// What is known of the nodes.
#[derive(Default)]
pub struct Nodes {
    places: RwLock<BTreeMap<String, Place>>,
    needed: Notify,
}

impl Nodes {
    /// The places, by the name of the node.
    pub(crate) fn places(&self) -> RwLockReadGuard<'_, BTreeMap<String, Place>> {
        self.places.read()
    }

    /// Notes where a node is.
    pub(crate) fn set(&self, name: &str, place: Place) {
        self.places.write().insert(name.to_owned(), place);
    }

    /// There is a pod, so that somebody will ask where it runs.
    pub(super) fn ask(&self) {
        self.needed.notify_one();
    }

    /// Waits for the first pod. A cluster without models is not asked for its nodes.
    pub(super) async fn needed(&self) {
        self.needed.notified().await;
    }
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
        self.cache.nodes().places.write().remove(&node.name_any());
        vec![]
    }

    fn end(&mut self) -> Vec<Trigger> {
        let listed = std::mem::take(&mut self.listed);
        self.cache.nodes().places.write().retain(|name, _| listed.contains(name));
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::ModelKey;

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

    #[tokio::test]
    async fn nodes_are_needed_once_there_is_a_pod() {
        let cache = Cache::default();
        let is_needed = || futures::FutureExt::now_or_never(cache.nodes().needed()).is_some();
        assert!(!is_needed());
        let pod = serde_json::json!({"metadata": {"name": "a"}, "spec": {"containers": []}});
        cache.pod_seen(&ModelKey::default(), &serde_json::from_value(pod).unwrap());
        assert!(is_needed());
    }
}
