//! What is kept of a live child: enough to see whether it still is as the operator made it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use belfry_render::children::metadata::{self, ContentHash};

use super::texts::share;

/// A child in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveChild {
    /// UID of the owner that controls it.
    pub owner: Option<Arc<str>>,
    /// Hash of the desired object of which every field is known to be there.
    pub holds: Option<ContentHash>,
    /// Hash in the annotation of an object of which only the metadata was read. Only the object itself shows whether it is true.
    pub claims: Option<ContentHash>,
    version: u64,
    /// The earliest version that is known to have this content.
    since: u64,
    /// `None` when only the metadata was read.
    content: Option<u64>,
}

impl LiveChild {
    /// Reads an object of which is not known what it holds.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        Self { content: Some(content(object)), ..Self::of_metadata(object) }
    }

    /// Reads the metadata of an object of which the rest has not come.
    #[must_use]
    pub fn unread(object: &impl ResourceExt) -> Self {
        Self { claims: metadata::hash_in(object.meta()), ..Self::of_metadata(object) }
    }

    /// Reads the API server's answer to an apply, or the metadata of it. Whatever it made of the desired object, a
    /// default filled in or a quantity written in another way, is how the object has to look from now on.
    #[must_use]
    pub fn applied(answer: &impl ResourceExt) -> Self {
        Self { holds: metadata::hash_in(answer.meta()), ..Self::of_metadata(answer) }
    }

    fn of_metadata(object: &impl ResourceExt) -> Self {
        let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true));
        let version = version(object);
        let owner = owner.map(|owner| share(&owner.uid));
        Self { owner, version, since: version, ..Self::default() }
    }

    /// Its resource version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether this was read later than the other. The answer to a write may overtake the watch.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.version > other.version
    }

    /// Whether nothing but the status and the bookkeeping of the API server differs. The same version is the same
    /// object, of which one may have seen the metadata only.
    #[must_use]
    pub fn has_content_of(&self, other: &Self) -> bool {
        let is_between = |live: &Self, version| version < u64::MAX && (live.since..=live.version).contains(&version);
        let is_same = self.content.is_some() && self.content == other.content;
        is_same || is_between(self, other.version) || is_between(other, self.version)
    }

    /// Notes that an earlier state had the same content. What is known to be true is no mere claim.
    pub(super) fn continues(&mut self, earlier: &Self) {
        if self.claims.is_some() && earlier.claims.is_none() {
            self.claims = None;
            self.holds = earlier.holds;
        }
        self.since = self.since.min(earlier.since);
        self.content = self.content.or(earlier.content);
    }
}

/// Resource versions are numbers that grow. One that is none counts as the newest.
pub(super) fn version(object: &impl ResourceExt) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX)
}

fn content(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    let meta = &object.metadata;
    (&meta.uid, &meta.labels, &meta.annotations, meta.deletion_timestamp.is_some()).hash(&mut hasher);
    for owner in meta.owner_references.iter().flatten() {
        (&owner.uid, owner.controller, owner.block_owner_deletion).hash(&mut hasher);
    }
    for (key, value) in object.data.as_object().into_iter().flatten().filter(|(key, _)| *key != "status") {
        key.hash(&mut hasher);
        hash_value(value, &mut hasher);
    }
    hasher.finish()
}

fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(value) => (2_u8, value).hash(hasher),
        Value::String(value) => (3_u8, value).hash(hasher),
        Value::Array(values) => {
            (4_u8, values.len()).hash(hasher);
            values.iter().for_each(|value| hash_value(value, hasher));
        }
        Value::Object(fields) => {
            (5_u8, fields.len()).hash(hasher);
            for (key, value) in fields {
                key.hash(hasher);
                hash_value(value, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(version: &str, data: &Value, status: &Value) -> LiveChild {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data, "status": status,
            "metadata": {"name": "a", "resourceVersion": version, "managedFields": [{"manager": version}]},
        });
        LiveChild::of(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_changed_status_is_no_change_of_content() {
        let (before, after) =
            (live("9", &json!({"a": "1"}), &json!({})), live("10", &json!({"a": "1"}), &json!({"n": 1})));
        assert!(after.has_content_of(&before));
        assert!(after.is_newer_than(&before) && !before.is_newer_than(&after));
    }

    #[test]
    fn a_changed_field_is_a_change_of_content() {
        assert!(!live("1", &json!({"a": "1"}), &json!({})).has_content_of(&live("2", &json!({"a": "2"}), &json!({}))));
    }
}
