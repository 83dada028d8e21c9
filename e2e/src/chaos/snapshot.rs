//! What the operator made: all objects of its kinds in a namespace, without what differs from one run to the next.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_render::children::metadata::HASH_ANNOTATION;
use belfry_render::kind::ChildKind;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// Objects by `Kind name`.
pub type Snapshot = BTreeMap<String, Value>;

/// What every namespace has.
const OF_THE_CLUSTER: &[&str] = &["ServiceAccount default", "ConfigMap kube-root-ca.crt"];

/// What the API server adds, other than by the operator's wish.
const METADATA_OF_THE_SERVER: &[&str] =
    &["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"];

/// All objects of the operator's kinds in a namespace, with those of other authors. Each owner is named with its
/// state, so that an owner that is gone differs from a new one of the same name.
pub async fn children(client: &Client, namespace: &str) -> Result<Snapshot> {
    let models = models(client, namespace).await?;
    let mut found = Snapshot::new();
    for kind in ChildKind::ALL {
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.api_resource());
        let list = match api.list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(kube::Error::Api(status)) if status.code == 404 && kind.is_optional() => continue,
            Err(error) => return Err(error).with_context(|| format!("can't list {}", kind.as_str())),
        };
        for object in list {
            let key = format!("{} {}", kind.as_str(), object.name_any());
            if !OF_THE_CLUSTER.contains(&key.as_str()) {
                found.insert(key, stripped(&object, &models)?);
            }
        }
    }
    Ok(found)
}

/// The models of a namespace, as they are stored.
pub async fn models(client: &Client, namespace: &str) -> Result<Vec<DynamicObject>> {
    let resource = ApiResource::erase::<InferenceModel>(&());
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(vec![]),
        Err(error) => Err(error).context("can't list models"),
    }
}

fn stripped(object: &DynamicObject, models: &[DynamicObject]) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    let root = value.as_object_mut().context("not an object")?;
    root.remove("status");
    if let Some(spec) = root.get_mut("spec").and_then(Value::as_object_mut) {
        // Addresses that the API server chose.
        spec.retain(|field, _| !matches!(field.as_str(), "clusterIP" | "clusterIPs"));
        // Where the specification names no number of workers, it is the one that a scaler chose or left behind.
        if object.owner_references().iter().any(|owner| models.iter().any(|model| is_free(model, &owner.uid))) {
            spec.remove("replicas");
        }
    }
    let metadata = root.get_mut("metadata").and_then(Value::as_object_mut).context("an object without metadata")?;
    metadata.retain(|field, _| !METADATA_OF_THE_SERVER.contains(&field.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        // The hash covers the owner's UID.
        annotations.retain(|key, _| key != HASH_ANNOTATION && !key.starts_with("deployment.kubernetes.io/"));
    }
    let owners = object.owner_references().iter().map(|owner| {
        let is_there = models.iter().any(|model| model.uid().as_deref() == Some(&owner.uid));
        let state = if is_there { "alive" } else { "gone" };
        json!(format!("{} {} {state} controller={:?}", owner.kind, owner.name, owner.controller))
    });
    metadata.insert("ownerReferences".into(), owners.collect());
    Ok(value)
}

fn is_free(model: &DynamicObject, uid: &str) -> bool {
    model.uid().as_deref() == Some(uid) && model.data["spec"]["replicas"].is_null()
}

/// The part of a snapshot that belongs to one model.
pub fn of_model(snapshot: &Snapshot, model: &str) -> Snapshot {
    let dashboard = format!("{model}-dashboard");
    let is_own = |key: &&String| key.split_once(' ').is_some_and(|(_, name)| name == model || name == dashboard);
    snapshot.iter().filter(|(key, _)| is_own(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// An error names the first difference of each object.
pub fn same(found: &Snapshot, expected: &Snapshot) -> Result<()> {
    let mut differences = vec![];
    for key in expected.keys().filter(|key| !found.contains_key(*key)) {
        differences.push(format!("lost: {key}"));
    }
    for (key, value) in found {
        match expected.get(key) {
            None => differences.push(format!("not expected: {key}, of {}", value["metadata"]["ownerReferences"])),
            Some(wanted) => differences.extend(difference(value, wanted, key)),
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("; "));
    Ok(())
}

/// The path of the first difference, and both values.
fn difference(found: &Value, expected: &Value, path: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let at = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
            a.keys().chain(b.keys()).find_map(|key| difference(&at(a, key), &at(b, key), &format!("{path}.{key}")))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(a, b, &format!("{path}[{i}]")))
        }
        _ => Some(format!("{path} is {}, and not {}", brief(found), brief(expected))),
    }
}

fn brief(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(objects: &[(&str, Value)]) -> Snapshot {
        objects.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn what_is_lost_left_over_or_different_is_named() {
        let expected = snapshot(&[("Service a", json!({"x": {"y": [1, 2]}})), ("Service b", json!({}))]);
        same(&expected, &expected).unwrap();
        let found = snapshot(&[("Service a", json!({"x": {"y": [1, 3]}})), ("Service c", json!({}))]);
        let error = same(&found, &expected).unwrap_err().to_string();
        assert!(error.contains("lost: Service b") && error.contains("not expected: Service c"), "{error}");
        assert!(error.contains("Service a.x.y[1] is 3, and not 2"), "{error}");
    }
}
