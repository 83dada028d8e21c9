//! The watches: models first, then worker pods and each kind of child, in every namespace or in
//! listed ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::PartialObjectMeta;
use kube::core::{DynamicObject, NamespaceResourceScope};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::listing::Listing;
use super::nodes::NodesSink;
use super::optional::OptionalKinds;
use super::pauses::pauses;
use super::{Cache, Guarded, ModelKey, Trigger, Triggers, Urgency};
use crate::children::meta::MANAGER;
use crate::kind::ChildKind;
use crate::metrics::Metrics;

/// Objects in one answer to a list. Rules and dashboards weigh 100 kB a model, and an answer is held as a whole.
const PAGE: u32 = 50;

/// Seconds after which the API server ends a watch, and the operator asks for the next. What is silent for longer hangs.
pub const WATCH_SECONDS: u32 = 50;

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them, with a ClusterRole.
    Cluster,
    /// These, with a Role in each.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// One watch for each element; `None` is a watch of the whole cluster.
    pub(super) fn namespaces(&self) -> Vec<Option<String>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// The running watches. Dropping them ends the tasks.
pub struct Watches {
    /// Where others than the watches say which models changed.
    pub trigger: Triggers,
    /// Models of which something changed.
    pub triggers: mpsc::UnboundedReceiver<Trigger>,
    /// The tasks. None of them ends by itself; one that does is a fault of the process.
    pub tasks: JoinSet<()>,
}

/// Starts the watches and returns once the cache holds what exists.
///
/// # Errors
/// A watch task ended before it had listed its kind.
pub async fn start(
    client: &Client,
    cache: &Arc<Cache>,
    metrics: &Arc<Metrics>,
    scope: Scope,
) -> Result<Watches, oneshot::error::RecvError> {
    let (trigger, triggers) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let feed = Feed {
        client: client.clone(),
        cache: cache.clone(),
        metrics: metrics.clone(),
        trigger: trigger.clone(),
        scope: scope.clone(),
    };
    // Children are compared with what their model wants as they are listed, so models come first.
    for listed in feed.models(&mut tasks) {
        listed.await?;
    }
    if scope == Scope::Cluster {
        // Where a Role is all, nodes can't be read. Nobody waits for them: only series have their labels.
        tasks.spawn(feed.clone().nodes());
    }
    let mut listing = feed.pods(&mut tasks);
    for kind in ChildKind::ALL.iter().copied().filter(|kind| !kind.is_optional()) {
        listing.extend(feed.children(kind, &mut tasks));
    }
    listing.push(OptionalKinds::follow(feed, &mut tasks));
    for listed in listing {
        listed.await?;
    }
    Ok(Watches { trigger, triggers, tasks })
}

/// Answers when a kind has been listed for the first time.
pub(super) type Listed = oneshot::Receiver<()>;

/// What every watch needs.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) client: Client,
    pub(super) cache: Arc<Cache>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) trigger: Triggers,
    pub(super) scope: Scope,
}

impl Feed {
    fn models(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let api = api::<Guarded>(&self.client, namespace.as_deref());
            let sink = Models { cache: self.cache.clone(), namespace, listing: Listing::default() };
            tasks.spawn(self.clone().run("InferenceModel", watcher(api, config()), sink, listed));
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    fn pods(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let api = api::<Pod>(&self.client, namespace.as_deref());
            let sink = Pods { cache: self.cache.clone(), namespace, listing: Listing::default() };
            tasks.spawn(self.clone().run("Pod", watcher(api, managed()), sink, listed));
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    /// Watches a kind of child.
    pub(super) fn children(&self, kind: ChildKind, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let spawn = |namespace: Option<String>| {
            let (listed, wait) = oneshot::channel();
            let resource = kind.api_resource();
            let api = match &namespace {
                None => Api::all_with(self.client.clone(), &resource),
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            };
            let sink = Children { cache: self.cache.clone(), kind, namespace, listing: Listing::default() };
            tasks.spawn(self.clone().run(kind.as_str(), watcher::<DynamicObject>(api, managed()), sink, listed));
            wait
        };
        self.scope.namespaces().into_iter().map(spawn).collect()
    }

    async fn nodes(self) {
        self.cache.nodes().needed().await;
        // The labels are all that is wanted, and the status of a node changes often.
        let api: Api<PartialObjectMeta<Node>> = Api::all(self.client.clone());
        let sink = NodesSink::new(self.cache.clone());
        let (listed, _) = oneshot::channel();
        self.run("Node", watcher(api, config()), sink, listed).await;
    }

    /// Takes the events of a watch into the cache, and tells which models they concern.
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
                    // Whoever waited may have given up; then the process ends anyway.
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

/// What a watch does with its events. Each answer names the models that are concerned.
pub(super) trait Sink {
    type Object;
    fn begin(&mut self);
    fn seen(&mut self, object: Self::Object) -> Vec<Trigger>;
    fn gone(&mut self, object: &Self::Object) -> Vec<Trigger>;
    fn end(&mut self) -> Vec<Trigger>;
}

struct Models {
    cache: Arc<Cache>,
    namespace: Option<String>,
    listing: Listing,
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
            Ok(mut model) => {
                model.metadata.managed_fields = None;
                if !self.cache.model_seen(model) {
                    return vec![];
                }
            }
            Err(invalid) => {
                error!(model = %key, error = %invalid.error, "Could not decode a model; a change of it is needed");
                self.cache.model_gone(&key);
            }
        }
        vec![(key, Urgency::Children)]
    }

    fn gone(&mut self, model: &Guarded) -> Vec<Trigger> {
        let key = ModelKey::of(model);
        self.cache.model_gone(&key);
        vec![(key, Urgency::Children)]
    }

    fn end(&mut self) -> Vec<Trigger> {
        all(self.cache.keep_models(self.namespace.as_deref(), &self.listing.end()), Urgency::Children)
    }
}

struct Pods {
    cache: Arc<Cache>,
    namespace: Option<String>,
    listing: Listing,
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
        vec![(key, Urgency::Status)]
    }

    fn gone(&mut self, pod: &Pod) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(pod) else { return vec![] };
        self.cache.pod_gone(&key, &pod.name_any());
        vec![(key, Urgency::Status)]
    }

    fn end(&mut self) -> Vec<Trigger> {
        all(self.cache.keep_pods(self.namespace.as_deref(), &self.listing.end()), Urgency::Status)
    }
}

struct Children {
    cache: Arc<Cache>,
    kind: ChildKind,
    namespace: Option<String>,
    listing: Listing,
}

impl Sink for Children {
    type Object = DynamicObject;

    fn begin(&mut self) {
        self.listing.begin();
    }

    fn seen(&mut self, object: DynamicObject) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(&object) else { return vec![] };
        self.listing.saw(&key, &object.name_any());
        self.cache.child_seen(&key, self.kind, &object).map(|urgency| (key, urgency)).into_iter().collect()
    }

    fn gone(&mut self, object: &DynamicObject) -> Vec<Trigger> {
        let Some(key) = ModelKey::of_owner(object) else { return vec![] };
        self.cache.child_gone(&key, self.kind, &object.name_any());
        vec![(key, Urgency::Children)]
    }

    fn end(&mut self) -> Vec<Trigger> {
        all(self.cache.keep_children(self.kind, self.namespace.as_deref(), &self.listing.end()), Urgency::Children)
    }
}

fn all(keys: Vec<ModelKey>, urgency: Urgency) -> Vec<Trigger> {
    keys.into_iter().map(|key| (key, urgency)).collect()
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
    config().labels(&format!("app.kubernetes.io/managed-by={MANAGER}"))
}
