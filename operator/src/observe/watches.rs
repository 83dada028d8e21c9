//! The watches: one for each kind of child, one for worker pods, and one for the CRDs of the
//! monitoring kinds, which may come and go while the operator runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use belfry_crds::InferenceModel;
use belfry_crds::contract::MODEL_LABEL;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PartialObjectMeta;
use kube::core::DynamicObject;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

use super::{Cache, Guarded};
use crate::children::meta::MANAGER;
use crate::kind::ChildKind;

/// Triggers that may wait. The controller merges triggers for the same model, so a few suffice; a
/// full channel slows the watch down and loses nothing.
const TRIGGERS: usize = 1024;

/// The running watches. Dropping them ends the tasks.
pub struct Watches {
    /// Models whose children or pods changed.
    pub triggers: mpsc::Receiver<ObjectRef<Guarded>>,
    /// Fires when a monitoring kind came or went: every model is concerned.
    pub kinds_changed: mpsc::Receiver<()>,
    /// The tasks. None of them ends by itself; one that does is a fault of the process.
    pub tasks: JoinSet<()>,
}

/// Starts the watches and returns once the cache holds what exists.
///
/// # Errors
/// A watch task ended before it had listed its kind.
pub async fn start(client: &Client, cache: &Arc<Cache>) -> Result<Watches, reflector::store::WriterDropped> {
    let (trigger, mut triggers) = mpsc::channel(TRIGGERS);
    let (kind_changed, kinds_changed) = mpsc::channel(1);
    let mut listed = std::pin::pin!(list(client, cache, trigger, kind_changed));
    let tasks = loop {
        tokio::select! {
            listed = &mut listed => break listed?,
            // The controller begins with every model, so that what is listed before it runs needs no trigger. Left
            // in the channel, the triggers of a large cluster would fill it, and the watches wait for ever.
            _ = triggers.recv() => {}
        }
    };
    Ok(Watches { triggers, kinds_changed, tasks })
}

/// Starts each watch, and waits until it has listed its kind.
async fn list(
    client: &Client,
    cache: &Arc<Cache>,
    trigger: mpsc::Sender<ObjectRef<Guarded>>,
    kind_changed: mpsc::Sender<()>,
) -> Result<JoinSet<()>, reflector::store::WriterDropped> {
    let mut tasks = JoinSet::new();
    let (pods, writer) = reflector::store();
    let stream = watcher(Api::<Pod>::all(client.clone()), managed());
    let stream = stream.default_backoff().modify(|pod| pod.managed_fields_mut().clear()).reflect(writer);
    tasks.spawn(forward(stream, trigger.clone()));
    pods.wait_until_ready().await?;
    cache.set_pods(pods);

    for kind in ChildKind::ALL.iter().copied().filter(|kind| !kind.is_optional()) {
        watch_kind(client, cache, kind, &trigger, &mut tasks).await?;
    }
    let optional = OptionalKinds { client: client.clone(), cache: cache.clone(), trigger, kind_changed };
    let (ready, listed) = tokio::sync::oneshot::channel();
    tasks.spawn(optional.follow(ready));
    // An error means that the task died, which the caller sees from `tasks`.
    let _ = listed.await;
    Ok(tasks)
}

fn managed() -> watcher::Config {
    watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGER}"))
}

async fn watch_kind(
    client: &Client,
    cache: &Cache,
    kind: ChildKind,
    trigger: &mpsc::Sender<ObjectRef<Guarded>>,
    tasks: &mut JoinSet<()>,
) -> Result<AbortHandle, reflector::store::WriterDropped> {
    let resource = kind.api_resource();
    let writer = reflector::store::Writer::<DynamicObject>::new(resource.clone());
    let store = writer.as_reader();
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let stream = watcher(api, managed()).default_backoff();
    let stream = stream.modify(|object| object.managed_fields_mut().clear()).reflect(writer);
    let handle = tasks.spawn(forward(stream, trigger.clone()));
    store.wait_until_ready().await?;
    cache.set_children(kind, Some(store));
    Ok(handle)
}

/// Turns changes of children and pods into the model that they belong to.
async fn forward<K: Resource + Clone>(
    stream: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>>,
    trigger: mpsc::Sender<ObjectRef<Guarded>>,
) {
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        let object = match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object) | watcher::Event::InitApply(object)) => {
                object
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => continue,
            Err(error) => {
                warn!(%error, "A watch broke off and is started again");
                continue;
            }
        };
        let (Some(model), Some(namespace)) = (model_of(&object), object.namespace()) else { continue };
        if trigger.send(ObjectRef::new(&model).within(&namespace)).await.is_err() {
            return;
        }
    }
}

/// The model that an object belongs to: its owner, or for a pod, which a ReplicaSet owns, the one that its label names.
/// The label alone would not do, because somebody may have removed it.
fn model_of(object: &impl ResourceExt) -> Option<String> {
    let owner = object.owner_references().iter().find(|owner| owner.kind == InferenceModel::kind(&()));
    owner.map(|owner| owner.name.clone()).or_else(|| object.labels().get(MODEL_LABEL).cloned())
}

/// Follows the CRDs of the optional kinds, and watches each kind while it exists.
struct OptionalKinds {
    client: Client,
    cache: Arc<Cache>,
    trigger: mpsc::Sender<ObjectRef<Guarded>>,
    kind_changed: mpsc::Sender<()>,
}

impl OptionalKinds {
    async fn follow(self, ready: tokio::sync::oneshot::Sender<()>) {
        let names: BTreeMap<String, ChildKind> = ChildKind::ALL
            .iter()
            .filter(|kind| kind.is_optional())
            .map(|kind| {
                let resource = kind.api_resource();
                (format!("{}.{}", resource.plural, resource.group), *kind)
            })
            .collect();
        // Of a CRD only its name matters, and some weigh a megabyte.
        let crds: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let mut stream = std::pin::pin!(watcher(crds, watcher::Config::default()).default_backoff());
        let mut running: BTreeMap<ChildKind, AbortHandle> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut ready = Some(ready);
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Apply(crd) | watcher::Event::InitApply(crd)) => {
                    if let Some(kind) = names.get(&crd.name_any()).filter(|kind| !running.contains_key(kind)) {
                        self.begin(*kind, &crd, &mut running, &mut tasks).await;
                    }
                }
                Ok(watcher::Event::Delete(crd)) => {
                    if let Some(kind) = names.get(&crd.name_any()) {
                        self.end(*kind, &mut running);
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    ready.take().map(|ready| ready.send(()));
                }
                Ok(watcher::Event::Init) => {}
                Err(error) => warn!(%error, "The watch for custom resource definitions broke off and is started again"),
            }
        }
    }

    async fn begin(
        &self,
        kind: ChildKind,
        crd: &PartialObjectMeta<CustomResourceDefinition>,
        running: &mut BTreeMap<ChildKind, AbortHandle>,
        tasks: &mut JoinSet<()>,
    ) {
        // A CRD on its way out still sends changes; its kind can't be written any more.
        if crd.meta().deletion_timestamp.is_some() {
            return;
        }
        match watch_kind(&self.client, &self.cache, kind, &self.trigger, tasks).await {
            Ok(handle) => {
                info!(kind = kind.as_str(), "Found an optional kind");
                running.insert(kind, handle);
                self.announce();
            }
            Err(error) => warn!(kind = kind.as_str(), %error, "Could not watch an optional kind"),
        }
    }

    fn end(&self, kind: ChildKind, running: &mut BTreeMap<ChildKind, AbortHandle>) {
        if let Some(handle) = running.remove(&kind) {
            handle.abort();
            self.cache.set_children(kind, None);
            info!(kind = kind.as_str(), "Lost an optional kind");
            self.announce();
        }
    }

    /// A full channel means that an announcement is already on its way.
    fn announce(&self) {
        let _ = self.kind_changed.try_send(());
    }
}
