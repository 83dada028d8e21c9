//! Watches for the monitoring kinds, which may come and go while the operator runs.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PartialObjectMeta};
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::feed::{Feed, Listed, WatchScope, config};
use super::pauses::pauses;
use super::{Cause, Trigger, Urgency, prometheuses};
use belfry_render::kind::ChildKind;

/// Pause between two looks for a missing kind, where CRDs can't be watched.
const LOOK: Duration = Duration::from_secs(60);

/// Watches each optional kind while it exists.
pub(super) struct OptionalKinds {
    feed: Feed,
    running: BTreeMap<ChildKind, JoinSet<()>>,
    /// The watches of the Prometheus objects, while the cluster knows their kind.
    prometheuses: Option<JoinSet<()>>,
}

impl OptionalKinds {
    /// Starts to follow the optional kinds.
    pub(super) fn follow(feed: Feed, tasks: &mut JoinSet<()>) -> Listed {
        let (ready, listed) = oneshot::channel();
        for kind in optional() {
            feed.cache.set_missing(kind, true);
        }
        let kinds = Self { running: BTreeMap::new(), prometheuses: None, feed };
        match kinds.feed.scope {
            WatchScope::Cluster => tasks.spawn(kinds.by_definitions(ready)),
            // A Role can't grant the watch of CRDs, which are no object of a namespace.
            WatchScope::Namespaces(_) => tasks.spawn(kinds.by_trial(ready)),
        };
        listed
    }

    async fn by_definitions(mut self, ready: oneshot::Sender<()>) {
        let names: BTreeMap<String, ChildKind> = optional()
            .map(|kind| {
                let resource = kind.api_resource();
                (format!("{}.{}", resource.plural, resource.group), kind)
            })
            .collect();
        // Of a CRD only its name matters, and some weigh a megabyte.
        let crds: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.feed.client.clone());
        let mut stream = std::pin::pin!(watcher(crds, config()).backoff(pauses()));
        let mut ready = Some(ready);
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Apply(crd) | watcher::Event::InitApply(crd)) => {
                    // A CRD on its way out still sends changes; its kind can't be written any more.
                    if crd.meta().deletion_timestamp.is_some() {
                        continue;
                    }
                    if crd.name_any() == prometheuses::DEFINITION {
                        self.begin_prometheuses().await;
                    }
                    if let Some(kind) = names.get(&crd.name_any()) {
                        self.begin(*kind).await;
                    }
                }
                Ok(watcher::Event::Delete(crd)) => {
                    if crd.name_any() == prometheuses::DEFINITION {
                        self.end_prometheuses();
                    }
                    if let Some(kind) = names.get(&crd.name_any()) {
                        self.end(*kind);
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    ready.take().map(|ready| ready.send(()));
                }
                Ok(watcher::Event::Init) => {}
                Err(error) => {
                    self.feed.metrics.watch_failed("CustomResourceDefinition");
                    warn!(%error, "The watch for custom resource definitions broke off and is started again");
                }
            }
        }
    }

    async fn by_trial(mut self, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        loop {
            for kind in optional() {
                // The watch of a kind ends when the kind is gone; kinds without a watch have to be looked for.
                if !self.running.contains_key(&kind) && self.exists(kind).await {
                    self.begin(kind).await;
                }
            }
            ready.take().map(|ready| ready.send(()));
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn exists(&self, kind: ChildKind) -> bool {
        let Some(Some(namespace)) = self.feed.scope.namespaces().into_iter().next() else { return false };
        let api: Api<DynamicObject> = Api::namespaced_with(self.feed.client.clone(), &namespace, &kind.api_resource());
        api.list_metadata(&ListParams::default().limit(1)).await.is_ok()
    }

    async fn begin(&mut self, kind: ChildKind) {
        if self.running.contains_key(&kind) {
            return;
        }
        let mut tasks = JoinSet::new();
        for listed in self.feed.children(kind, &mut tasks) {
            // An error means that the task died; the kind is then looked at as missing.
            if listed.await.is_err() {
                return;
            }
        }
        self.running.insert(kind, tasks);
        info!(kind = kind.as_str(), "Found an optional kind");
        self.announce(kind, false);
    }

    fn end(&mut self, kind: ChildKind) {
        // Dropping the tasks ends them.
        if self.running.remove(&kind).is_some() {
            self.feed.cache.keep_children(kind, None, &Default::default());
            info!(kind = kind.as_str(), "Lost an optional kind");
            self.announce(kind, true);
        }
    }

    /// Only with a ClusterRole: which Prometheus selects what, no Role can grant to know.
    async fn begin_prometheuses(&mut self) {
        if self.prometheuses.is_some() {
            return;
        }
        let mut tasks = JoinSet::new();
        for listed in self.feed.prometheuses(&mut tasks) {
            if listed.await.is_err() {
                return;
            }
        }
        self.prometheuses = Some(tasks);
    }

    fn end_prometheuses(&mut self) {
        let is_news = self.prometheuses.take().is_some() && self.feed.cache.prometheuses().clear();
        for trigger in prometheuses::all_models(&self.feed.cache, is_news) {
            // The receiver is gone only when the process ends.
            let _ = self.feed.trigger.send(trigger);
        }
    }

    /// Every model is concerned.
    fn announce(&self, kind: ChildKind, is_missing: bool) {
        if self.feed.cache.set_missing(kind, is_missing) {
            for key in self.feed.cache.keys() {
                // The receiver is gone only when the process ends.
                let trigger = Trigger { key, urgency: Urgency::Children, cause: Cause::KindChanged(kind) };
                let _ = self.feed.trigger.send(trigger);
            }
        }
    }
}

fn optional() -> impl Iterator<Item = ChildKind> {
    ChildKind::ALL.iter().copied().filter(|kind| kind.is_optional())
}
