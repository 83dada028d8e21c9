//! What the watches know, by model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belfry_crds::InferenceModel;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use parking_lot::RwLock;

use super::live::version;
use super::{Live, ModelKey, Nodes, Observed, Rollout, Urgency, View, Wanted};
use crate::apply::object_contains;
use crate::status::{PodReport, ScalerReport, report, scaler_report};
use belfry_render::children::{child, meta};
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::settings::Settings;
use belfry_render::validate::{validate, validate_running};

/// What the operator's watches know of the cluster.
#[derive(Default)]
pub struct Cache {
    settings: Settings,
    models: RwLock<BTreeMap<ModelKey, Entry>>,
    undecodable: RwLock<BTreeSet<ModelKey>>,
    missing_kinds: RwLock<BTreeSet<ChildKind>>,
    nodes: Nodes,
}

/// What is known of one model, or of objects that name it.
#[derive(Default)]
struct Entry {
    model: Option<Arc<InferenceModel>>,
    wanted: Arc<Wanted>,
    children: BTreeMap<(ChildKind, String), Live>,
    /// Kinds of which a write is not answered yet.
    sent: BTreeSet<ChildKind>,
    deployment: Option<Rollout>,
    scaler: Option<(ChildKind, ScalerReport)>,
    pods: BTreeMap<String, (u64, PodReport)>,
}

/// What a child tells beside itself.
#[derive(Default)]
struct Told {
    /// A Deployment: how far its pods are.
    rollout: Option<Rollout>,
    /// A scaler: what its controller says.
    scaler: Option<(ChildKind, ScalerReport)>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.model.is_none() && self.children.is_empty() && self.pods.is_empty()
    }
}

impl Cache {
    /// An empty cache; the settings tell what children should look like.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The settings of the operator that reach the children.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is known of a model; `None` when there is no such model that can be decoded.
    #[must_use]
    pub fn observed(&self, key: &ModelKey) -> Option<Observed> {
        let models = self.models.read();
        let entry = models.get(key)?;
        Some(Observed {
            model: entry.model.clone()?,
            children: entry.children.clone(),
            deployment: entry.deployment.clone(),
            scaler: entry.scaler.as_ref().map(|(_, scaler)| scaler.clone()),
            pods: entry.pods.values().map(|(_, pod)| pod.clone()).collect(),
            missing_kinds: self.missing_kinds.read().iter().copied().collect(),
            wanted: entry.wanted.clone(),
        })
    }

    /// The keys of all models that can be decoded.
    #[must_use]
    pub fn keys(&self) -> Vec<ModelKey> {
        self.models.read().iter().filter(|(_, entry)| entry.model.is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// The keys of the models that can't be decoded, of which nothing else is known.
    #[must_use]
    pub fn undecodable(&self) -> BTreeSet<ModelKey> {
        self.undecodable.read().clone()
    }

    /// Shows every model that can be decoded, in the order of their keys. Nothing is copied, and no watch is taken in
    /// meanwhile: what is done with a view has to be short.
    pub fn each(&self, mut show: impl FnMut(&View<'_>)) {
        for (key, entry) in self.models.read().iter() {
            let Some(model) = &entry.model else { continue };
            let pods = entry.pods.values().map(|(_, pod)| pod).collect();
            show(&View { key, model, deployment: entry.deployment.as_ref(), pods });
        }
    }

    /// What is known of the nodes.
    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Objects that are kept: models, children, pods, nodes.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 4] {
        let nodes = self.nodes.places().len();
        let models = self.models.read();
        let count = |size: fn(&Entry) -> usize| models.values().map(size).sum();
        [
            ("models", count(|entry| usize::from(entry.model.is_some()))),
            ("children", count(|entry| entry.children.len())),
            ("pods", count(|entry| entry.pods.len())),
            ("nodes", nodes),
        ]
    }

    /// Notes a model, unless a later state of it is known. Returns whether it is another state than the known one.
    pub fn model_seen(&self, model: InferenceModel) -> bool {
        let key = ModelKey::of(&model);
        self.undecodable.write().remove(&key);
        let mut models = self.models.write();
        let entry = models.entry(key).or_default();
        let known = entry.model.as_ref().map(|known| version(&**known));
        if known > Some(version(&model)) {
            return true;
        }
        if !entry.model.as_ref().is_some_and(|known| self.has_same_children(known, &model)) {
            entry.wanted = Arc::default();
        }
        let is_news = known != Some(version(&model));
        entry.model = Some(Arc::new(model));
        is_news
    }

    /// Children depend on the specification, on the owner's identity, on the template that the status pins, and on the
    /// number of workers that a scaler left behind. The first status pins what was chosen without one.
    fn has_same_children(&self, a: &InferenceModel, b: &InferenceModel) -> bool {
        let kept = |model: &InferenceModel| {
            let status = model.status.as_ref()?;
            let left_behind = status.scaled_replicas.filter(|_| model.spec.autoscaling.is_none());
            Some((status.runtime.clone(), left_behind))
        };
        let valid = |model| validate(model, &self.settings);
        a.uid() == b.uid() && a.meta().generation == b.meta().generation && (kept(a) == kept(b) || valid(a) == valid(b))
    }

    /// Notes a model whose present state can't be decoded, and forgets the state before.
    pub fn model_undecodable(&self, key: &ModelKey) {
        self.model_gone(key);
        self.undecodable.write().insert(key.clone());
    }

    /// Forgets a model.
    pub fn model_gone(&self, key: &ModelKey) {
        self.undecodable.write().remove(key);
        self.change(key, |entry| {
            entry.model = None;
            entry.wanted = Arc::default();
        });
    }

    /// Forgets the models of the namespaces that a list covered and did not name.
    pub(super) fn keep_models(&self, namespace: Option<&str>, listed: &BTreeSet<(ModelKey, String)>) -> Vec<ModelKey> {
        let is_gone = |key: &ModelKey| covers(namespace, key) && !listed.contains(&(key.clone(), String::new()));
        let gone: Vec<_> = self.keys().into_iter().chain(self.undecodable()).filter(is_gone).collect();
        gone.iter().for_each(|key| self.model_gone(key));
        gone
    }

    /// Notes a child as a watch shows it, unless a later state of it is known. Returns what a pass could make of the
    /// difference; `None` when it could make nothing: the events of the operator's own writes are no news.
    pub fn child_seen(&self, key: &ModelKey, kind: ChildKind, object: &DynamicObject) -> Option<Urgency> {
        let mut live = Live::of(object);
        let (known, model, wanted) = {
            let models = self.models.read();
            let entry = models.get(key);
            let known = entry.and_then(|entry| entry.children.get(&(kind, object.name_any())).cloned());
            // What the object holds is told by the answer to the write that is under way.
            let is_sent = entry.is_some_and(|entry| entry.sent.contains(&kind));
            let model = entry.filter(|_| !is_sent).and_then(|entry| entry.model.clone());
            (known, model, entry.map(|e| e.wanted.clone()).unwrap_or_default())
        };
        let mut is_news = true;
        live.holds = match known {
            Some(known) if known.is_newer_than(&live) => return None,
            Some(known) if known.has_content_of(&live) && known.claims.is_none() => {
                is_news = false;
                known.holds
            }
            _ => model.and_then(|model| self.held(kind, object, &model, &wanted)),
        };
        // KEDA gives its own HorizontalPodAutoscaler the labels of the ScaledObject, but another name.
        let is_scaler = kind.is_scaler() && object.name_any() == key.name;
        let told = Told {
            rollout: (kind == ChildKind::Deployment).then(|| Rollout::of(object)),
            scaler: is_scaler.then(|| (kind, scaler_report(object))),
        };
        let has_told = self.note(key, (kind, object.name_any()), live, told);
        if is_news { Some(Urgency::Children) } else { has_told.then_some(Urgency::Status) }
    }

    /// Notes a heavy child as a watch shows it, by its metadata. Returns as [`Self::child_seen`].
    pub fn child_glimpsed(&self, key: &ModelKey, kind: ChildKind, object: &impl ResourceExt) -> Option<Urgency> {
        let live = Live::unread(object);
        let child = (kind, object.name_any());
        let is_known =
            self.models.read().get(key).and_then(|entry| entry.children.get(&child)).is_some_and(|known| {
                known.is_newer_than(&live) || (known.has_content_of(&live) && known.claims.is_none())
            });
        self.note(key, child, live, Told::default());
        (!is_known).then_some(Urgency::Children)
    }

    /// Notes a child as it was read, and returns what is known of it now.
    pub fn child_read(&self, key: &ModelKey, kind: ChildKind, object: &DynamicObject) -> Live {
        self.child_seen(key, kind, object);
        let models = self.models.read();
        let known = models.get(key).and_then(|entry| entry.children.get(&(kind, object.name_any())));
        known.cloned().unwrap_or_else(|| Live::of(object))
    }

    /// Notes that a child is being written, until [`Self::child_answered`].
    pub fn child_sent(&self, key: &ModelKey, kind: ChildKind) {
        self.change(key, |entry| {
            entry.sent.insert(kind);
        });
    }

    /// Notes that a write came to its end, in whatever way.
    pub fn child_answered(&self, key: &ModelKey, kind: ChildKind) {
        self.change(key, |entry| {
            entry.sent.remove(&kind);
        });
    }

    /// Notes a child as the API server answered to its apply; of a Deployment also its state.
    pub fn child_applied(&self, key: &ModelKey, child: (ChildKind, String), live: Live, rollout: Option<Rollout>) {
        self.note(key, child, live, Told { rollout, scaler: None });
    }

    /// Returns whether the state of the Deployment or of the scaler changed.
    fn note(&self, key: &ModelKey, child: (ChildKind, String), mut live: Live, told: Told) -> bool {
        let Told { rollout, scaler } = told;
        let mut models = self.models.write();
        let entry = models.entry(key.clone()).or_default();
        if let Some(known) = entry.children.get_mut(&child) {
            let is_unchanged = known.has_content_of(&live);
            if known.is_newer_than(&live) {
                // The watch has overtaken the answer.
                if known.holds.is_none() && live.holds.is_some() && is_unchanged {
                    (known.holds, known.claims) = (live.holds, None);
                }
                return false;
            }
            if is_unchanged {
                live.continues(known);
            }
        }
        entry.children.insert(child, live);
        let is_news = rollout.is_some() && entry.deployment != rollout;
        if let Some(rollout) = rollout {
            let before = entry.deployment.replace(rollout);
            let from_image = |rollout: &Rollout| rollout.deployed.from_image;
            if before.as_ref().map(from_image) != entry.deployment.as_ref().map(from_image) {
                entry.wanted = Arc::default();
            }
        }
        if scaler.is_none() || entry.scaler == scaler {
            return is_news;
        }
        entry.scaler = scaler;
        true
    }

    /// The models that can be decoded.
    #[must_use]
    pub fn models(&self) -> Vec<Arc<InferenceModel>> {
        self.models.read().values().filter_map(|entry| entry.model.clone()).collect()
    }

    /// The hash of the child that the model should have, if the object holds every field of it.
    fn held(&self, kind: ChildKind, object: &DynamicObject, model: &InferenceModel, wanted: &Wanted) -> Option<String> {
        let hash = meta::hash_of(object)?;
        // Of the children only the Deployment depends on the choices that it was made with.
        let deployed = (kind == ChildKind::Deployment).then(|| Deployed::of(object));
        let child = child(kind, &validate_running(model, deployed.as_ref(), &self.settings).ok()?).ok()?;
        wanted.remember(&child);
        let desired = child.object.filter(|desired| desired.name_any() == object.name_any())?;
        (meta::hash_of(&desired)? == hash && object_contains(object, &desired)).then(|| hash.to_owned())
    }

    /// Forgets a child.
    pub fn child_gone(&self, key: &ModelKey, kind: ChildKind, name: &str) {
        self.change(key, |entry| {
            entry.children.remove(&(kind, name.to_owned()));
            if kind == ChildKind::Deployment {
                entry.deployment = None;
            }
            if name == key.name {
                entry.scaler.take_if(|(known, _)| *known == kind);
            }
        });
    }

    /// Forgets the children of a kind that a list covered and did not name.
    pub(super) fn keep_children(
        &self,
        kind: ChildKind,
        namespace: Option<&str>,
        listed: &BTreeSet<(ModelKey, String)>,
    ) -> Vec<ModelKey> {
        let children = |entry: &Entry| entry.children.keys().cloned().collect::<Vec<_>>();
        let gone = self.unlisted(namespace, listed, |entry| {
            children(entry).into_iter().filter(|(k, _)| *k == kind).map(|(_, name)| name).collect()
        });
        gone.iter().for_each(|(key, name)| self.child_gone(key, kind, name));
        gone.into_iter().map(|(key, _)| key).collect()
    }

    /// Notes a worker pod.
    pub fn pod_seen(&self, key: &ModelKey, pod: &Pod) {
        self.nodes.ask();
        let mut models = self.models.write();
        let pods = &mut models.entry(key.clone()).or_default().pods;
        pods.insert(pod.name_any(), (version(pod), report(pod)));
    }

    /// Forgets a worker pod.
    pub fn pod_gone(&self, key: &ModelKey, name: &str) {
        self.change(key, |entry| {
            entry.pods.remove(name);
        });
    }

    /// Forgets the pods that a list covered and did not name.
    pub(super) fn keep_pods(&self, namespace: Option<&str>, listed: &BTreeSet<(ModelKey, String)>) -> Vec<ModelKey> {
        let gone = self.unlisted(namespace, listed, |entry| entry.pods.keys().cloned().collect());
        gone.iter().for_each(|(key, name)| self.pod_gone(key, name));
        gone.into_iter().map(|(key, _)| key).collect()
    }

    /// Notes whether the cluster knows an optional kind; true when that is news.
    pub fn set_missing(&self, kind: ChildKind, is_missing: bool) -> bool {
        let mut missing = self.missing_kinds.write();
        if is_missing { missing.insert(kind) } else { missing.remove(&kind) }
    }

    fn unlisted(
        &self,
        namespace: Option<&str>,
        listed: &BTreeSet<(ModelKey, String)>,
        names: impl Fn(&Entry) -> Vec<String>,
    ) -> Vec<(ModelKey, String)> {
        let models = self.models.read();
        let covered = models.iter().filter(|(key, _)| covers(namespace, key));
        let known = covered.flat_map(|(key, entry)| names(entry).into_iter().map(|name| (key.clone(), name)));
        known.filter(|object| !listed.contains(object)).collect()
    }

    fn change(&self, key: &ModelKey, change: impl FnOnce(&mut Entry)) {
        let mut models = self.models.write();
        let Some(entry) = models.get_mut(key) else { return };
        change(entry);
        if entry.is_empty() {
            models.remove(key);
        }
    }
}

fn covers(namespace: Option<&str>, key: &ModelKey) -> bool {
    namespace.is_none_or(|namespace| namespace == key.namespace)
}

#[cfg(test)]
mod tests;
