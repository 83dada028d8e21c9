//! Random values from the schema of the model's own definition, good ones and bad ones.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::dice::Dice;

/// Strings for every kind of field; most fit only some, and the API server knows which.
const STRINGS: &[&str] = &[
    "a",
    "main",
    "models",
    "search",
    "A-b_c.9",
    "owner/name",
    "sub/folder",
    "../up",
    "/absolute",
    "#team",
    "99.9",
    "50",
    "99.999",
    "10",
    "250ms",
    "10s",
    "7ms",
    "https://example.com",
    "https://example.com/a/",
    "ftp://x",
    "",
    "with space",
    "{{ brace }}",
    "\"quoted\"",
    "ünïcode",
    "v1",
    "0",
];

const QUANTITIES: &[&str] = &["100m", "2", "1Gi", "512Mi", "0", "-1", "abc", "1e3", "1.5"];

const KEYS: &[&str] = &["cpu", "memory", "nvidia.com/gpu", "release", "example.com/key", "belfry.dev/x", "-bad-"];

/// A control plane without nodes still makes pods.
const MOST_REPLICAS: i64 = 3;

/// Fields that say how many pods there are.
const REPLICAS: &[&str] = &["replicas", "minReplicas", "maxReplicas", "fallbackReplicas"];

/// A place in a specification.
#[derive(Clone, Debug)]
struct Node {
    /// Names of properties, from `spec`.
    path: Vec<String>,
    schema: Value,
    is_required: bool,
}

/// The schema of `spec`.
#[derive(Debug)]
pub struct Schema {
    nodes: Vec<Node>,
}

impl Schema {
    /// As `crds/inferencemodels.yaml` has it.
    pub fn released() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/inferencemodels.yaml");
        let definition: Value = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
        let spec = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        let mut nodes = vec![];
        collect(spec.context("a definition without a schema of spec")?, &mut vec![], &mut nodes);
        Ok(Self { nodes })
    }

    /// Changes one property: sets it to a random value, or takes it away. Says what was done.
    pub fn mutate(&self, spec: &mut Value, dice: &mut Dice) -> String {
        let node = dice.one_of(&self.nodes);
        let name = node.path.join(".");
        if !node.is_required && dice.percent(25) {
            remove(spec, &node.path);
            return format!("{name} is removed");
        }
        let value = value(&node.schema, node.path.last().map_or("", String::as_str), dice);
        let text = format!("{name} = {value}");
        self.set(spec, &node.path, value, dice);
        text
    }

    /// Sets a property. Objects on the way that are not there yet get what they require.
    fn set(&self, spec: &mut Value, path: &[String], value: Value, dice: &mut Dice) {
        let mut at = spec;
        for depth in 1..path.len() {
            let parent = &path[..depth];
            let schema = self.nodes.iter().find(|node| node.path == parent).map(|node| &node.schema);
            let entry = &mut at[path[depth - 1].as_str()];
            if !entry.is_object() {
                *entry = schema.map_or_else(|| json!({}), |schema| object(schema, dice, 0));
            }
            at = entry;
        }
        if let Some(last) = path.last() {
            at[last.as_str()] = value;
        }
    }
}

fn collect(schema: &Value, path: &mut Vec<String>, nodes: &mut Vec<Node>) {
    for (name, property) in properties(schema) {
        path.push(name.clone());
        nodes.push(Node { path: path.clone(), schema: property.clone(), is_required: is_required(schema, name) });
        collect(property, path, nodes);
        path.pop();
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|r| r == name))
}

fn remove(spec: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut at = spec;
    for name in parents {
        match at.get_mut(name) {
            Some(next) => at = next,
            None => return,
        }
    }
    if let Some(object) = at.as_object_mut() {
        object.remove(last);
    }
}

/// A value that the schema may or may not take.
fn value(schema: &Value, name: &str, dice: &mut Dice) -> Value {
    if let Some(choices) = schema["enum"].as_array() {
        return dice.one_of(choices).clone();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return if dice.percent(20) { json!(dice.below(4)) } else { json!(dice.one_of(QUANTITIES)) };
    }
    match schema["type"].as_str().unwrap_or_default() {
        "object" => object(schema, dice, 40),
        "array" => (0..dice.below(3)).map(|_| value(&schema["items"], name, dice)).collect(),
        "integer" | "number" => json!(integer(schema, name, dice)),
        "boolean" => json!(dice.percent(50)),
        _ => json!(string(schema, dice)),
    }
}

/// An object with what it requires, and each other property in so many of a hundred cases.
fn object(schema: &Value, dice: &mut Dice, share: usize) -> Value {
    let mut made = Map::new();
    for (name, property) in properties(schema) {
        if is_required(schema, name) || dice.percent(share) {
            made.insert(name.clone(), value(property, name, dice));
        }
    }
    if let Some(entry) = schema.get("additionalProperties").filter(|entry| entry.is_object()) {
        for _ in 0..dice.below(3) {
            made.insert((*dice.one_of(KEYS)).to_owned(), value(entry, "", dice));
        }
    }
    Value::Object(made)
}

fn integer(schema: &Value, name: &str, dice: &mut Dice) -> i64 {
    let bound = |field: &str, default: f64| schema[field].as_f64().unwrap_or(default) as i64;
    let (least, most) = (bound("minimum", 0.0), bound("maximum", 100.0));
    let is_replicas = REPLICAS.contains(&name);
    let most = if is_replicas { MOST_REPLICAS } else { most };
    match dice.below(12) {
        0 => least - 1,
        1 if !is_replicas => most + 1,
        2..5 => least,
        5..8 => most,
        _ => i64::midpoint(least, most),
    }
}

fn string(schema: &Value, dice: &mut Dice) -> String {
    let longest = schema["maxLength"].as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(100);
    match dice.below(20) {
        0 => "x".repeat(longest),
        1 => "x".repeat(longest + 1),
        _ => (*dice.one_of(STRINGS)).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_touches_most_of_the_schema_and_can_be_had_again() {
        let schema = Schema::released().unwrap();
        let walk = |seed| {
            let (mut dice, mut spec) = (Dice::new(seed), json!({}));
            (0..500).map(|_| schema.mutate(&mut spec, &mut dice)).collect::<Vec<_>>()
        };
        let steps = walk(1);
        let untouched = schema.nodes.iter().filter(|node| {
            let name = node.path.join(".");
            !steps.iter().any(|step| step.starts_with(&format!("{name} ")))
        });
        assert!(untouched.count() < schema.nodes.len() / 10);
        assert_eq!(steps, walk(1));
    }

    #[test]
    fn a_property_deep_inside_gets_parents_with_what_they_require() {
        let schema = Schema::released().unwrap();
        let mut spec = json!({});
        let path: Vec<_> = ["model", "source", "huggingFace", "endpoint"].map(str::to_owned).into();
        schema.set(&mut spec, &path, json!("https://example.com"), &mut Dice::new(1));
        let source = &spec["model"]["source"]["huggingFace"];
        assert!(source["repo"].is_string() && source["revision"].is_string(), "{spec}");
    }
}
