//! The objects of a model as files for a reader.

use belfry_render::children::metadata::{ContentHash, HASH_ANNOTATION, hash_of};
use belfry_render::children::{Child, children};
use belfry_render::model::ValidModel;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::json;

/// One object.
pub(crate) struct File {
    /// Name without an extension: the kind, and the part that the object's name adds to its model's.
    pub(crate) name: String,
    /// Everything that is applied, with JSON in it spread over lines.
    pub(crate) whole: String,
    /// The same without the hash, with the common parts of all alerts written once, and with an outline of the dashboard.
    pub(crate) comparable: String,
    /// Hash of the applied content.
    pub(crate) hash: String,
}

/// The objects that a model has, in the order in which they are applied.
pub(crate) fn of(model: &ValidModel) -> Vec<File> {
    let files: Vec<_> =
        children(model).unwrap().into_iter().filter_map(|child| file(model, child.object.clone()?, &child)).collect();
    let names: std::collections::BTreeSet<_> = files.iter().map(|file| &file.name).collect();
    assert_eq!(names.len(), files.len(), "two objects of one name: {names:?}");
    files
}

fn file(model: &ValidModel, object: DynamicObject, child: &Child) -> Option<File> {
    let content = hash_of(&object)?.to_string();
    let mut stripped = object.clone();
    drop(stripped.metadata.annotations.as_mut()?.remove(HASH_ANNOTATION));
    write_common_parts_of_alerts_once(&mut stripped.data);
    Some(File {
        name: kebab(child.kind().as_str()) + child.name.strip_prefix(&model.name).unwrap(),
        whole: yaml(object, json::spread),
        comparable: yaml(stripped, outline),
        hash: content,
    })
}

/// `ConfigMap` is `config-map`.
fn kebab(kind: &str) -> String {
    let mut name = String::new();
    for letter in kind.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// An object as YAML, with the JSON of a ConfigMap as a reader wants it.
fn yaml(mut object: DynamicObject, text_of: fn(&Value) -> String) -> String {
    for text in
        object.data.get_mut("data").and_then(Value::as_object_mut).into_iter().flat_map(|data| data.values_mut())
    {
        let minified = text.as_str().unwrap();
        let parsed: Value = serde_json::from_str(minified).unwrap();
        assert_eq!(parsed.to_string(), minified, "minified again, the file is not what is applied");
        *text = Value::String(text_of(&parsed));
    }
    serde_yaml::to_string(&object).unwrap()
}

/// A change of the owner's contact changes every alert, and is one line for a reader.
fn write_common_parts_of_alerts_once(object: &mut Value) {
    let Some(groups) = object.pointer_mut("/spec/groups").and_then(Value::as_array_mut) else { return };
    let rules = groups.iter_mut().flat_map(|group| group["rules"].as_array_mut().unwrap());
    let mut alerts: Vec<_> = rules.filter(|rule| rule.get("alert").is_some()).collect();
    let Some(first) = alerts.first().map(|alert| (**alert).clone()) else { return };
    let mut shared = serde_json::Map::new();
    for part in ["annotations", "labels"] {
        let mut common = first[part].as_object().unwrap().clone();
        common.retain(|name, value| alerts.iter().all(|alert| alert[part].get(name) == Some(value)));
        for alert in &mut alerts {
            alert[part].as_object_mut().unwrap().retain(|name, _| !common.contains_key(name));
        }
        shared.insert(part.into(), common.into());
    }
    object["spec"]["every alert"] = shared.into();
}

/// Outline of a dashboard for a reviewer: its panels with their queries, in order. Hashes stand for the rest, without the
/// positions, since one more row moves all panels below it.
fn outline(dashboard: &Value) -> String {
    let mut rest = dashboard.clone();
    drop(rest.as_object_mut().unwrap().remove("panels"));
    let mut lines = vec![format!("{}, hash {}", rest["title"], ContentHash::of(&rest))];
    for panel in dashboard["panels"].as_array().unwrap() {
        let mut panel = panel.clone();
        drop(["gridPos", "id"].map(|place| panel.as_object_mut().unwrap().remove(place)));
        if panel["type"] == "row" {
            lines.push(format!("row {}", panel["title"]));
            continue;
        }
        let unit = &panel["fieldConfig"]["defaults"]["unit"];
        lines.push(format!("panel {}, {} in {unit}, hash {}", panel["title"], panel["type"], ContentHash::of(&panel)));
        lines.push(format!("  {}", panel["description"].as_str().unwrap()));
        lines.extend(
            panel["targets"].as_array().unwrap().iter().map(|query| format!("  {}", query["expr"].as_str().unwrap())),
        );
    }
    lines.join("\n")
}
