//! Every edit of an object that can be thought of, from its schema.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::structure::Schemas;

/// An edit of one place of an object.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// Steps of JSON patch. One is to be made: the first that the API server takes.
    pub(crate) steps: Vec<Value>,
    /// What is to become of it.
    pub(crate) end: End,
}

/// What is to become of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is set back.
    SetBack,
    /// It stays: it adds something where others may add theirs. The map or list that is shared, as docs/ownership.md has
    /// it; `None` for a field that is not written.
    Stays(Option<String>),
    /// It renames an element of a shared list: ours is made anew, and the renamed one is another's.
    Beside,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.steps.first().cloned().unwrap_or_default();
        write!(f, "{} {} {:?}", step["op"], step["path"], self.end)
    }
}

/// Values to try in place of another. Most fit few fields, and the API server knows which.
const OTHERS: &[&str] = &["other", "7", "7s", "Always"];

/// All edits of what is desired in an object, as it is live.
pub(crate) fn edits(
    schemas: &Schemas,
    schema: &Value,
    (live, desired): (&Value, &Value),
    merge: &BTreeMap<String, Value>,
) -> Result<Vec<Edit>> {
    let mut walk = Walk { schemas, merge, edits: vec![] };
    let root = Place { pointer: String::new(), path: String::new(), is_atomic: false };
    walk.visit(&root, schema, live, desired)?;
    Ok(walk.edits)
}

struct Walk<'a> {
    schemas: &'a Schemas,
    merge: &'a BTreeMap<String, Value>,
    edits: Vec<Edit>,
}

/// Where the walk is.
struct Place {
    /// In the object, as JSON patch wants it.
    pointer: String,
    /// In the schema, as the table of the structure has it.
    path: String,
    /// Whether it is inside of an atomic field.
    is_atomic: bool,
}

impl Place {
    fn field(&self, name: &str, segment: &str, is_atomic: bool) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let path = if self.path.is_empty() { segment.to_owned() } else { format!("{}.{segment}", self.path) };
        Self { pointer: format!("{}/{escaped}", self.pointer), path, is_atomic }
    }
}

impl Walk<'_> {
    fn visit(&mut self, at: &Place, schema: &Value, live: &Value, desired: &Value) -> Result<()> {
        let schema = self.schemas.resolved(schema)?;
        let is_listed = self.merge.contains_key(&at.path);
        match (live, desired) {
            (Value::Object(live), Value::Object(desired)) => {
                let is_atomic = at.is_atomic || is_listed;
                self.add_fields(at, is_atomic, &schema, live)?;
                for (name, wanted) in desired {
                    let (Some(found), false) = (live.get(name), is_fixed(&at.path, name)) else { continue };
                    let properties = schema.get("properties").and_then(|properties| properties.get(name));
                    let segment = if properties.is_some() { name.as_str() } else { "*" };
                    let place = at.field(name, segment, is_atomic);
                    self.remove(&place);
                    let field = properties.or_else(|| schema.get("additionalProperties"));
                    self.visit(&place, field.unwrap_or(&Value::Null), found, wanted)?;
                }
            }
            (Value::Array(live), Value::Array(desired)) => {
                let is_atomic = at.is_atomic || !is_listed;
                self.add_element(at, is_atomic, live);
                for (index, (found, wanted)) in live.iter().zip(desired).enumerate() {
                    let place = at.field(&index.to_string(), "*", is_atomic);
                    self.remove(&place);
                    self.visit(&place, schema.get("items").unwrap_or(&Value::Null), found, wanted)?;
                }
            }
            (live, _) => self.change(at, live),
        }
        Ok(())
    }

    fn change(&mut self, at: &Place, live: &Value) {
        let values: Vec<_> = match live {
            Value::Bool(value) => vec![json!(!value)],
            Value::Number(number) => {
                let number = number.as_i64().unwrap_or_default();
                vec![json!(number + 1), json!(number - 1)]
            }
            Value::String(text) => [format!("{text}x")]
                .into_iter()
                .chain(OTHERS.iter().map(|&other| other.to_owned()))
                .map(Value::from)
                .collect(),
            _ => return,
        };
        let end = if self.is_key(at) { End::Beside } else { End::SetBack };
        self.step("replace", at, values, end);
    }

    /// Whether the place says which element of a shared list it is in.
    fn is_key(&self, at: &Place) -> bool {
        let list = at.path.rsplit_once(".*.").filter(|(_, name)| !name.contains('.'));
        let keys = list.and_then(|(list, name)| Some((self.merge.get(list)?.as_array()?, name)));
        keys.is_some_and(|(keys, name)| keys.iter().any(|key| key == name))
    }

    fn remove(&mut self, at: &Place) {
        let steps = vec![json!({"op": "remove", "path": at.pointer})];
        let end = if self.is_key(at) { End::Beside } else { End::SetBack };
        self.edits.push(Edit { steps, end });
    }

    /// Sets fields that the schema has and the object has not, and a key of a map.
    fn add_fields(
        &mut self,
        at: &Place,
        is_atomic: bool,
        schema: &Map<String, Value>,
        live: &Map<String, Value>,
    ) -> Result<()> {
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !live.contains_key(name) && !is_fixed(&at.path, name) {
                let values = values(&self.schemas.resolved(field)?);
                self.step("add", &at.field(name, name, is_atomic), values, added(is_atomic, None));
            }
        }
        if let Some(value) = schema.get("additionalProperties").filter(|value| value.is_object()) {
            let values = values(&self.schemas.resolved(value)?);
            let end = added(is_atomic, Some(at.path.clone()));
            self.step("add", &at.field("example.com/added", "*", is_atomic), values.clone(), end.clone());
            // Keys of files have no slash.
            self.step("add", &at.field("added", "*", is_atomic), values, end);
        }
        Ok(())
    }

    fn add_element(&mut self, at: &Place, is_atomic: bool, live: &[Value]) {
        let Some(last) = live.last() else { return };
        let end = added(is_atomic, Some(at.path.clone()));
        let values = variations(last, self.merge.get(&at.path));
        self.step("add", &at.field("-", "*", is_atomic), values, end);
    }

    fn step(&mut self, op: &str, at: &Place, values: Vec<Value>, end: End) {
        let steps: Vec<_> =
            values.into_iter().map(|value| json!({"op": op, "path": at.pointer, "value": value})).collect();
        if !steps.is_empty() {
            self.edits.push(Edit { steps, end });
        }
    }
}

/// What is to become of an addition.
fn added(is_atomic: bool, shared: Option<String>) -> End {
    if is_atomic { End::SetBack } else { End::Stays(shared) }
}

/// What a kind is called and whose it is. An object with another name or owner is another object.
fn is_fixed(path: &str, name: &str) -> bool {
    match path {
        "" => matches!(name, "apiVersion" | "kind" | "status"),
        "metadata" => !matches!(name, "labels" | "annotations"),
        _ => false,
    }
}

/// Values of a field that is not set.
fn values(schema: &Map<String, Value>) -> Vec<Value> {
    let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices.clone();
    }
    match text("type") {
        "boolean" => vec![json!(true), json!(false)],
        "integer" | "number" => vec![json!(7), json!(1)],
        "string" => OTHERS.iter().map(|other| json!(other)).collect(),
        "array" => vec![json!(["other"]), json!([{"name": "other"}])],
        "object" => vec![json!({}), json!({"name": "other"}), json!({"example.com/added": "other"})],
        _ => vec![json!("7")],
    }
}

/// Elements like another one: with another value in one key, or in one and in the name.
fn variations(element: &Value, keys: Option<&Value>) -> Vec<Value> {
    let Value::Object(fields) = element else {
        return vec![json!("other"), json!("OTHER"), element.clone()];
    };
    let keys: Vec<_> = keys.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if keys.is_empty() {
        return vec![element.clone()];
    }
    keys.iter().flat_map(|key| [with_others(fields, &[key]), with_others(fields, &[key, "name"])]).collect()
}

fn with_others(fields: &Map<String, Value>, names: &[&str]) -> Value {
    let other = |value: &Value| match value {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_i64().unwrap_or_default() + 1),
        value => value.clone(),
    };
    let vary = |(name, value): (&String, &Value)| {
        (name.clone(), if names.contains(&name.as_str()) { other(value) } else { value.clone() })
    };
    Value::Object(fields.iter().map(vary).collect())
}
