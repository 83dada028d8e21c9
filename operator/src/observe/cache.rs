//! What the watches know, by model. A store: it orders what it is given, and neither validates nor renders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belfry_crds::InferenceModel;
use belfry_render::children::metadata::ContentHash;
use belfry_render::deployed::Deployed;
use belfry_render::kind::ChildKind;
use belfry_render::role::Role;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use parking_lot::RwLock;

use super::live_child::version;
use super::writes::{Ticket, Writes, WrittenObject};
use super::{
    DeploymentState, Few, ForeignScalers, LiveChild, ModelKey, Nodes, Observed, PodReport, Prometheuses, ScalerReport,
    StoredModel, Urgency, View,
};
use super::{report, scaler_report};

/// What the operator's watches know of the cluster.
#[derive(Default)]
pub struct Cache {
    models: RwLock<BTreeMap<ModelKey, Box<Entry>>>,
    writes: parking_lot::Mutex<Writes>,
    undecodable: RwLock<BTreeSet<ModelKey>>,
    missing_kinds: RwLock<BTreeSet<ChildKind>>,
    nodes: Nodes,
    foreign_scalers: ForeignScalers,
    prometheuses: Prometheuses,
}

/// What is known of one model, or of objects that name it.
#[derive(Default)]
struct Entry {
    model: Option<Arc<StoredModel>>,
    children: Few<Role, LiveChild>,
    deployment: Option<DeploymentState>,
    scaler: Option<(Role, ScalerReport)>,
    pods: Few<String, PodReport>,
}

/// Facts that are read from a child beside its content.
#[derive(Default)]
struct Facts {
    /// A Deployment: how far its pods are.
    deployment: Option<DeploymentState>,
    /// A scaler: what its controller says.
    scaler: Option<(Role, ScalerReport)>,
}

/// How much of a child a watch shows.
pub enum Content<'a> {
    /// All of it.
    Whole(&'a DynamicObject),
    /// Its metadata. Whether it holds what it claims to hold, only a read can say.
    Metadata,
}

/// A write that is under way. It ends when this is dropped, so that one that is given up ends too.
pub struct Write<'a> {
    cache: &'a Cache,
    ticket: Ticket,
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.cache.writes.lock().end(self.ticket);
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.model.is_none() && self.children.is_empty() && self.pods.is_empty()
    }
}

impl Cache {
    /// What is known of a model; `None` when there is no such model that can be decoded.
    #[must_use]
    pub fn observed(&self, key: &ModelKey) -> Option<Observed> {
        let models = self.models.read();
        let entry = models.get(key)?;
        Some(Observed {
            model: entry.model.as_ref()?.whole().into(),
            children: entry.children.clone(),
            deployment: entry.deployment.clone(),
            scaler: entry.scaler.as_ref().map(|(_, scaler)| scaler.clone()),
            pods: entry.pods.values().cloned().collect(),
            foreign_scalers: self.foreign_scalers.of(key),
            missing_kinds: self.missing_kinds.read().iter().copied().collect(),
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

    /// The models that can be decoded.
    #[must_use]
    pub fn models(&self) -> Vec<Arc<InferenceModel>> {
        self.models.read().values().filter_map(|entry| Some(entry.model.as_ref()?.whole().into())).collect()
    }

    /// Shows every model that can be decoded, in the order of their keys. Nothing is copied, and no watch is taken in
    /// meanwhile: what is done with a view has to be short.
    pub fn each(&self, mut show: impl FnMut(&View<'_>)) {
        for (key, entry) in self.models.read().iter() {
            let Some(model) = &entry.model else { continue };
            let pods = entry.pods.values().collect();
            show(&View { key, model, deployment: entry.deployment.as_ref(), pods });
        }
    }

    /// What is known of the nodes.
    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The scalers that others made for models.
    #[must_use]
    pub const fn foreign_scalers(&self) -> &ForeignScalers {
        &self.foreign_scalers
    }

    /// Who selects what is written for models.
    #[must_use]
    pub const fn prometheuses(&self) -> &Prometheuses {
        &self.prometheuses
    }

    /// Objects that are kept: models, children, pods, nodes.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 4] {
        let nodes = self.nodes.places().len();
        let models = self.models.read();
        let count = |size: fn(&Entry) -> usize| models.values().map(|entry| size(entry)).sum();
        [
            ("models", count(|entry| usize::from(entry.model.is_some()))),
            ("children", count(|entry| entry.children.len())),
            ("pods", count(|entry| entry.pods.len())),
            ("nodes", nodes),
        ]
    }

    /// Notes a model as a watch shows it, unless a later state of it is known. Returns whether it is another state than
    /// the known one.
    pub fn model_seen(&self, model: InferenceModel) -> bool {
        let key = ModelKey::of(&model);
        self.writes.lock().object_seen(&WrittenObject::model(&key));
        self.undecodable.write().remove(&key);
        self.note_model(key, model)
    }

    /// Notes that the status of a model is about to be written.
    #[must_use]
    pub fn writes_model(&self, key: &ModelKey) -> Write<'_> {
        Write { cache: self, ticket: self.writes.lock().begin(WrittenObject::model(key)) }
    }

    /// Notes a model as the API server answered to that write, unless the model is gone since.
    pub fn model_answered(&self, write: &Write<'_>, model: InferenceModel) {
        // The lock is held until the answer is noted, so that no deletion comes in between.
        let writes = self.writes.lock();
        if writes.counts(write.ticket, version(&model)) {
            self.note_model(ModelKey::of(&model), model);
        }
    }

    fn note_model(&self, key: ModelKey, model: InferenceModel) -> bool {
        let mut models = self.models.write();
        let entry = models.entry(key).or_default();
        let known = entry.model.as_ref().map(|known| known.version());
        if known > Some(version(&model)) {
            return true;
        }
        let is_another = known != Some(version(&model));
        entry.model = Some(Arc::new(StoredModel::of(model)));
        is_another
    }

    /// Notes a model whose present state can't be decoded, and forgets the state before.
    pub fn model_undecodable(&self, key: &ModelKey) {
        self.model_gone(key, u64::MAX);
        self.undecodable.write().insert(key.clone());
    }

    /// Forgets a model that a watch saw deleted at this resource version, unless a later state of it is known.
    pub fn model_gone(&self, key: &ModelKey, version: u64) {
        let mut writes = self.writes.lock();
        writes.object_ended(&WrittenObject::model(key), version);
        self.undecodable.write().remove(key);
        self.change(key, |entry| {
            entry.model.take_if(|model| model.version() <= version);
        });
    }

    /// Notes a child as a watch shows it, unless a later state of it is known. An object that is none of the
    /// model's children is left out. `compare` is asked what the child holds when its content is shown for the first time.
    /// Returns how soon the model needs a pass; `None` when the event only repeats what is known, such as an answer to a
    /// write.
    pub fn child_seen(
        &self,
        key: &ModelKey,
        kind: ChildKind,
        (object, content): (&impl ResourceExt, Content<'_>),
        compare: impl FnOnce(&InferenceModel, &DynamicObject, Option<&Deployed>) -> Option<ContentHash>,
    ) -> Option<Urgency> {
        let name = object.name_any();
        let role = Role::of(kind, &name, &key.name)?;
        let target = WrittenObject::child(key, kind, &name);
        let is_under_way = {
            let mut writes = self.writes.lock();
            writes.object_seen(&target);
            writes.has(&target)
        };
        let (known, model, deployed) = self.known(key, role);
        let mut live = match content {
            Content::Whole(object) => LiveChild::of(object),
            Content::Metadata => LiveChild::unread(object),
        };
        let is_another = match known {
            Some(known) if known.is_newer_than(&live) => return None,
            Some(known) if known.has_content_of(&live) && known.claims.is_none() => {
                live.holds = known.holds;
                false
            }
            // The answer to a write that is under way will say what the child holds.
            _ => {
                let model = model.filter(|_| !is_under_way);
                live.holds = model.and_then(|model| match content {
                    Content::Whole(object) => compare(&model.whole(), object, deployed.as_ref()),
                    Content::Metadata => None,
                });
                true
            }
        };
        let facts = match content {
            Content::Whole(object) => Facts::of(role, object),
            Content::Metadata => Facts::default(),
        };
        let has_other_facts = self.note(key, role, live, facts);
        if is_another { Some(Urgency::Children) } else { has_other_facts.then_some(Urgency::Status) }
    }

    fn known(&self, key: &ModelKey, role: Role) -> (Option<LiveChild>, Option<Arc<StoredModel>>, Option<Deployed>) {
        let models = self.models.read();
        let Some(entry) = models.get(key) else { return (None, None, None) };
        let deployed = entry.deployment.as_ref().map(|deployment| deployment.deployed.clone());
        (entry.children.get(&role).cloned(), entry.model.clone(), deployed)
    }

    /// What is known of a child.
    #[must_use]
    pub fn child(&self, key: &ModelKey, kind: ChildKind, name: &str) -> Option<LiveChild> {
        self.known(key, Role::of(kind, name, &key.name)?).0
    }

    /// Notes that a child is about to be written or deleted.
    #[must_use]
    pub fn writes_child(&self, key: &ModelKey, kind: ChildKind, name: &str) -> Write<'_> {
        Write { cache: self, ticket: self.writes.lock().begin(WrittenObject::child(key, kind, name)) }
    }

    /// Notes a child as the API server answered to that write, unless the child is gone since; of a Deployment also its
    /// state.
    pub fn child_answered(
        &self,
        write: &Write<'_>,
        key: &ModelKey,
        role: Role,
        (live, deployment): (LiveChild, Option<DeploymentState>),
    ) {
        // The lock is held until the answer is noted, so that no deletion comes in between.
        let writes = self.writes.lock();
        if writes.counts(write.ticket, live.version()) {
            self.note(key, role, live, Facts { deployment, scaler: None });
        }
    }

    /// Returns whether the state of the Deployment or of the scaler changed.
    fn note(&self, key: &ModelKey, role: Role, mut live: LiveChild, facts: Facts) -> bool {
        let Facts { deployment, scaler } = facts;
        let mut models = self.models.write();
        let entry = models.entry(key.clone()).or_default();
        if let Some(known) = entry.children.get_mut(&role) {
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
        entry.children.insert(role, live);
        let is_other_deployment = deployment.is_some() && entry.deployment != deployment;
        if is_other_deployment {
            entry.deployment = deployment;
        }
        let is_other_scaler = scaler.is_some() && entry.scaler != scaler;
        if is_other_scaler {
            entry.scaler = scaler;
        }
        is_other_deployment || is_other_scaler
    }

    /// Forgets a child that a watch saw deleted at this resource version, unless a later state of it is known.
    pub fn child_gone(&self, key: &ModelKey, kind: ChildKind, name: &str, version: u64) {
        let mut writes = self.writes.lock();
        writes.object_ended(&WrittenObject::child(key, kind, name), version);
        let Some(role) = Role::of(kind, name, &key.name) else { return };
        self.change(key, |entry| {
            if entry.children.get(&role).is_some_and(|known| known.version() > version) {
                return;
            }
            entry.children.remove(&role);
            if role == Role::Workers {
                entry.deployment = None;
            }
            entry.scaler.take_if(|(known, _)| *known == role);
        });
    }

    /// Notes a worker pod.
    pub fn pod_seen(&self, key: &ModelKey, pod: &Pod) {
        self.nodes.ask();
        self.models.write().entry(key.clone()).or_default().pods.insert(pod.name_any(), report(pod));
    }

    /// Forgets a worker pod.
    pub fn pod_gone(&self, key: &ModelKey, name: &str) {
        self.change(key, |entry| {
            entry.pods.remove(&name.to_owned());
        });
    }

    /// Notes whether the cluster knows an optional kind. Returns whether that changed.
    pub fn set_missing(&self, kind: ChildKind, is_missing: bool) -> bool {
        let mut missing = self.missing_kinds.write();
        if is_missing { missing.insert(kind) } else { missing.remove(&kind) }
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

impl Facts {
    fn of(role: Role, object: &DynamicObject) -> Self {
        Self {
            deployment: (role == Role::Workers).then(|| DeploymentState::of(object)),
            scaler: role.is_scaler().then(|| (role, scaler_report(object))),
        }
    }
}

mod lists;
#[cfg(test)]
mod tests;
