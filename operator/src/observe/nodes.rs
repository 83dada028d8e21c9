//! Where the cluster's nodes are, for the series about models.
//!
//! Nodes are no object of a namespace, so that only an operator with a ClusterRole reads them. Without that right, places
//! are unknown, and nothing else is missing.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

use super::Place;

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

    /// Forgets a node.
    pub(super) fn remove(&self, name: &str) {
        self.places.write().remove(name);
    }

    /// Forgets the nodes that a list did not name.
    pub(super) fn keep(&self, listed: &BTreeSet<String>) {
        self.places.write().retain(|name, _| listed.contains(name));
    }

    /// There is a pod, so that a scrape will ask where it runs.
    pub(super) fn ask(&self) {
        self.needed.notify_one();
    }

    /// Waits for the first pod. A cluster without models is not asked for its nodes.
    pub(super) async fn needed(&self) {
        self.needed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::{Cache, ModelKey};

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
