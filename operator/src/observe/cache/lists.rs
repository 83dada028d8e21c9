//! What a list that is whole says of objects that it did not name: they are gone.

use std::collections::BTreeSet;

use belfry_render::kind::ChildKind;

use super::{Cache, Entry};
use crate::observe::ModelKey;

impl Cache {
    /// Forgets the models of the namespaces that a list covered and did not name.
    pub(in crate::observe) fn keep_models(
        &self,
        namespace: Option<&str>,
        listed: &BTreeSet<(ModelKey, String)>,
    ) -> Vec<ModelKey> {
        let is_gone = |key: &ModelKey| covers(namespace, key) && !listed.contains(&(key.clone(), String::new()));
        let gone: Vec<_> = self.keys().into_iter().chain(self.undecodable()).filter(is_gone).collect();
        gone.iter().for_each(|key| self.model_gone(key, u64::MAX));
        gone
    }

    /// Forgets the children of a kind that a list covered and did not name.
    pub(in crate::observe) fn keep_children(
        &self,
        kind: ChildKind,
        namespace: Option<&str>,
        listed: &BTreeSet<(ModelKey, String)>,
    ) -> Vec<ModelKey> {
        let gone = self.unlisted(namespace, listed, |key, entry| {
            let roles = entry.children.keys().filter(|role| role.kind() == kind);
            roles.map(|role| role.name(&key.name)).collect()
        });
        gone.iter().for_each(|(key, name)| self.child_gone(key, kind, name, u64::MAX));
        gone.into_iter().map(|(key, _)| key).collect()
    }

    /// Forgets the pods that a list covered and did not name.
    pub(in crate::observe) fn keep_pods(
        &self,
        namespace: Option<&str>,
        listed: &BTreeSet<(ModelKey, String)>,
    ) -> Vec<ModelKey> {
        let gone = self.unlisted(namespace, listed, |_, entry| entry.pods.keys().cloned().collect());
        gone.iter().for_each(|(key, name)| self.pod_gone(key, name));
        gone.into_iter().map(|(key, _)| key).collect()
    }

    fn unlisted(
        &self,
        namespace: Option<&str>,
        listed: &BTreeSet<(ModelKey, String)>,
        names: impl Fn(&ModelKey, &Entry) -> Vec<String>,
    ) -> Vec<(ModelKey, String)> {
        let models = self.models.read();
        let covered = models.iter().filter(|(key, _)| covers(namespace, key));
        let known = covered.flat_map(|(key, entry)| names(key, entry).into_iter().map(|name| (key.clone(), name)));
        known.filter(|object| !listed.contains(object)).collect()
    }
}

fn covers(namespace: Option<&str>, key: &ModelKey) -> bool {
    namespace.is_none_or(|namespace| namespace == &*key.namespace)
}
