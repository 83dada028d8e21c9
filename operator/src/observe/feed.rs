//! What every watch needs, and how its events reach the cache.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{ListParams, PartialObjectMeta};
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, NamespaceResourceScope};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::warn;

use super::foreign_scaler::ScalersSink;
use super::listing::Listing;
use super::pauses::pauses;
use super::prometheuses::{NamespacesSink, PrometheusesSink, prometheus_resource};
use super::sink::{Children, Glimpses, Models, NodesSink, Pods, Sink};
use super::{Cache, Compare, Guarded, Triggers};
use crate::metrics::Metrics;
use belfry_render::children::metadata::MANAGER;
use belfry_render::kind::ChildKind;

/// Objects in one answer to a list. Rules and dashboards weigh 100 kB a model, and an answer is held as a whole.
const PAGE: u32 = 50;

/// Seconds after which the API server ends a watch, and the operator asks for the next. What is silent for longer hangs.
pub const WATCH_SECONDS: u32 = 50;

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchScope {
    /// All of them, with a ClusterRole.
    Cluster,
    /// These, with a Role in each.
    Namespaces(BTreeSet<String>),
}

impl WatchScope {
    /// One watch for each element; `None` is a watch of the whole cluster.
    pub(super) fn namespaces(&self) -> Vec<Option<String>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// Answers when a kind has been listed for the first time.
pub(super) type Listed = oneshot::Receiver<()>;

/// What every watch needs.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) client: Client,
    pub(super) cache: Arc<Cache>,
    pub(super) compare: Arc<dyn Compare>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) trigger: Triggers,
    pub(super) scope: WatchScope,
}

impl Feed {
    pub(super) fn models(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let api = api::<Guarded>(&self.client, namespace.as_deref());
            let sink = Models { cache: self.cache.clone(), namespace, listing: Listing::default() };
            tasks.spawn(self.clone().run("InferenceModel", watcher(api, config()), sink, listed));
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    pub(super) fn pods(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let api = api::<Pod>(&self.client, namespace.as_deref());
            let sink = Pods { cache: self.cache.clone(), namespace, listing: Listing::default() };
            tasks.spawn(self.clone().run("Pod", watcher(api, managed()), sink, listed));
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    /// Watches the scalers of everyone, for those of others that scale a model.
    pub(super) fn foreign_scalers(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let kind = ChildKind::HorizontalPodAutoscaler;
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let api: Api<DynamicObject> = self.children_of(kind, namespace.as_deref());
            let sink = ScalersSink::new(self.cache.clone(), namespace);
            tasks.spawn(self.clone().run("HorizontalPodAutoscaler of others", watcher(api, config()), sink, listed));
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    /// Watches a kind of child.
    pub(super) fn children(&self, kind: ChildKind, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let sink = Children {
                cache: self.cache.clone(),
                compare: self.compare.clone(),
                kind,
                namespace,
                listing: Listing::default(),
            };
            let feed = self.clone();
            if kind.is_heavy() {
                tasks.spawn(feed.heavy_children(sink, listed));
            } else {
                let api: Api<DynamicObject> = self.children_of(kind, sink.namespace.as_deref());
                tasks.spawn(feed.run(kind.as_str(), watcher(api, managed()), sink, listed));
            }
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    /// Of heavy children all that exist are read once, in pages, and then only the metadata of those that change. What a
    /// change that is not the operator's own has made of one, the pass for its model asks.
    async fn heavy_children(self, mut sink: Children, listed: oneshot::Sender<()>) {
        let api: Api<DynamicObject> = self.children_of(sink.kind, sink.namespace.as_deref());
        let mut pages = ListParams::default().labels(&managed_label()).limit(PAGE);
        loop {
            let page = match api.list(&pages).await {
                Ok(page) => page,
                Err(error) => {
                    warn!(kind = sink.kind.as_str(), %error, "A list broke off; what it did not show is read one by one");
                    break;
                }
            };
            pages.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            page.items.into_iter().for_each(|object| drop(sink.seen(object)));
            if pages.continue_token.is_none() {
                break;
            }
        }
        let kind = sink.kind;
        let metadata: Api<PartialObjectMeta<DynamicObject>> = self.children_of(kind, sink.namespace.as_deref());
        self.run(kind.as_str(), watcher(metadata, managed()), Glimpses(sink), listed).await;
    }

    fn children_of<K>(&self, kind: ChildKind, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let resource = kind.api_resource();
        match namespace {
            None => Api::all_with(self.client.clone(), &resource),
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    pub(super) async fn nodes(self) {
        self.cache.nodes().needed().await;
        // The labels are all that is wanted, and the status of a node changes often.
        let api: Api<PartialObjectMeta<Node>> = Api::all(self.client.clone());
        let sink = NodesSink::new(self.cache.clone());
        let (listed, _) = oneshot::channel();
        self.run("Node", watcher(api, config()), sink, listed).await;
    }

    /// Watches the Prometheus objects, and the labels of namespaces, by which these select.
    pub(super) fn prometheuses(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let (namespaces_listed, namespaces) = oneshot::channel();
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let sink = NamespacesSink::new(self.cache.clone());
        tasks.spawn(self.clone().run("Namespace", watcher(api, config()), sink, namespaces_listed));
        let (listed, prometheuses) = oneshot::channel();
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &prometheus_resource());
        let sink = PrometheusesSink::new(self.cache.clone());
        tasks.spawn(self.clone().run("Prometheus", watcher(api, config()), sink, listed));
        vec![namespaces, prometheuses]
    }

    /// Takes the events of a watch into the cache, and sends a trigger for each model that they concern.
    async fn run<S: Sink>(
        self,
        kind: &'static str,
        events: impl Stream<Item = watcher::Result<watcher::Event<S::Object>>>,
        mut sink: S,
        listed: oneshot::Sender<()>,
    ) {
        let mut events = std::pin::pin!(events.backoff(pauses()));
        let mut listed = Some(listed);
        while let Some(event) = events.next().await {
            let concerned = match event {
                Ok(watcher::Event::Init) => {
                    sink.begin();
                    vec![]
                }
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => sink.seen(object),
                Ok(watcher::Event::Delete(object)) => sink.gone(&object),
                Ok(watcher::Event::InitDone) => {
                    let gone = sink.end();
                    // The waiting task may be gone; then the process ends anyway.
                    listed.take().map(|listed| listed.send(()));
                    gone
                }
                Err(error) => {
                    self.metrics.watch_failed(kind);
                    warn!(kind, %error, "A watch broke off and is started again");
                    vec![]
                }
            };
            for trigger in concerned {
                if self.trigger.send(trigger).is_err() {
                    return;
                }
            }
        }
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned,
    K::DynamicType: Default,
{
    match namespace {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    }
}

pub(super) fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS)
}

fn managed() -> watcher::Config {
    config().labels(&managed_label())
}

fn managed_label() -> String {
    format!("app.kubernetes.io/managed-by={MANAGER}")
}
