//! Names, labels, owner reference and content hash of every child: the only place that makes them.

use std::collections::BTreeMap;
use std::fmt;

use belfry_crds::InferenceModel;
use belfry_crds::contract::MODEL_LABEL;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;
use kube::core::DynamicObject;
use serde::Serialize;
use sha2::{Digest, Sha256};
use strum::IntoStaticStr;

use crate::kind::ChildKind;
use crate::model::ValidModel;

/// Value of `app.kubernetes.io/managed-by`, and the operator's field manager.
pub const MANAGER: &str = "belfry-operator";

/// Hash of a child's content as it was applied; it distinguishes a field that was removed from the
/// desired object from one that another manager added.
pub const HASH_ANNOTATION: &str = "belfry.dev/applied-hash";

/// The first eight bytes of the SHA-256 of an object's canonical JSON. It is written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHash(u64);

impl ContentHash {
    /// The hash of a value.
    #[must_use]
    pub fn of(value: &serde_json::Value) -> Self {
        let digest = Sha256::digest(value.to_string());
        Self(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hash = u64::from_str_radix(text, 16).ok().map(Self)?;
        (hash.to_string() == text).then_some(hash)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a child is for: the label `app.kubernetes.io/component`.
#[derive(Clone, Copy, Debug, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Component {
    /// It serves the model.
    Worker,
    /// It watches the model.
    Monitoring,
}

impl Component {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Metadata of a child with the model's name.
#[must_use]
pub fn object_meta(model: &ValidModel, component: Component) -> ObjectMeta {
    let mut labels = pod_labels(model, component);
    labels.insert("app.kubernetes.io/version".into(), env!("CARGO_PKG_VERSION").into());
    ObjectMeta {
        name: Some(model.name.clone()),
        namespace: Some(model.namespace.clone()),
        labels: Some(labels),
        // A file that no cluster has seen has no UID, and an owner reference without one is refused.
        owner_references: (!model.uid.is_empty()).then(|| vec![owner(model)]),
        ..Default::default()
    }
}

/// Adds a user's labels, of which none may take the place of ours.
pub fn add_labels(metadata: &mut ObjectMeta, labels: &BTreeMap<String, String>) {
    let ours = metadata.labels.get_or_insert_default();
    for (key, value) in labels {
        ours.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Labels of the ServiceMonitor and the PrometheusRule, by which a Prometheus selects them.
#[must_use]
pub fn monitoring_labels(model: &ValidModel) -> BTreeMap<String, String> {
    let mut metadata = object_meta(model, Component::Monitoring);
    add_labels(&mut metadata, &model.monitoring.labels);
    metadata.labels.unwrap_or_default()
}

/// Adds a user's annotations.
pub fn add_annotations(metadata: &mut ObjectMeta, annotations: &BTreeMap<String, String>) {
    if !annotations.is_empty() {
        metadata.annotations.get_or_insert_default().extend(annotations.clone());
    }
}

/// Labels of the pods, and of the other children but for the version, which must not move a pod.
#[must_use]
pub fn pod_labels(model: &ValidModel, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector_labels(model);
    labels.insert("app.kubernetes.io/component".into(), component.as_str().into());
    labels.insert("app.kubernetes.io/managed-by".into(), MANAGER.into());
    labels.insert(MODEL_LABEL.into(), model.name.clone());
    labels
}

/// The two labels that select a model's pods. A Deployment's selector can't be changed, so these are
/// frozen for ever.
#[must_use]
pub fn selector_labels(model: &ValidModel) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "belfry-worker".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), model.name.clone()),
    ])
}

/// Selector of a model's pods.
#[must_use]
pub fn selector(model: &ValidModel) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(model)), ..Default::default() }
}

/// The same selector as text, for the scale subresource.
#[must_use]
pub fn selector_text(model: &ValidModel) -> String {
    selector_labels(model).iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn owner(model: &ValidModel) -> OwnerReference {
    OwnerReference {
        api_version: InferenceModel::api_version(&()).into_owned(),
        kind: InferenceModel::kind(&()).into_owned(),
        name: model.name.clone(),
        uid: model.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A child as it is sent, with the hash of everything else in it.
///
/// # Errors
/// None in practice; see [`super::child`].
pub fn stamped(kind: ChildKind, object: &impl Serialize) -> Result<DynamicObject, serde_json::Error> {
    let value = serde_json::to_value(object)?;
    let hash = ContentHash::of(&value).to_string();
    let mut object: DynamicObject = serde_json::from_value(value)?;
    let resource = kind.api_resource();
    object.types = Some(kube::core::TypeMeta { api_version: resource.api_version, kind: resource.kind });
    object.metadata.annotations.get_or_insert_default().insert(HASH_ANNOTATION.into(), hash);
    Ok(object)
}

/// The hash that an object was stamped with.
#[must_use]
pub fn hash_of(object: &DynamicObject) -> Option<ContentHash> {
    hash_in(&object.metadata)
}

/// The hash in an object's metadata; `None` also for a text that is none.
#[must_use]
pub fn hash_in(metadata: &ObjectMeta) -> Option<ContentHash> {
    ContentHash::parse(metadata.annotations.as_ref()?.get(HASH_ANNOTATION)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hash_is_read_as_it_is_written_and_no_other_text_is() {
        // By `printf '{"a":1}' | sha256sum`.
        let hash = ContentHash::of(&json!({"a": 1}));
        assert_eq!(hash.to_string(), "015abd7f5cc57a2d");
        assert_eq!(ContentHash::parse("015abd7f5cc57a2d"), Some(hash));
        for text in
            ["", "15abd7f5cc57a2d", "015ABD7F5CC57A2D", "+15abd7f5cc57a2d", "015abd7f5cc57a2d0", "015abd7f5cc57a2g"]
        {
            assert_eq!(ContentHash::parse(text), None, "{text}");
        }
    }
}
