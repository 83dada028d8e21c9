//! Fields of a schema and values of a chart, as dotted paths.

use std::collections::BTreeSet;

use serde_json::Value;

/// Dotted paths.
#[derive(Default)]
pub(crate) struct Fields {
    known: BTreeSet<String>,
    /// Paths below which any name may stand.
    open: BTreeSet<String>,
}

impl Fields {
    /// Whether there is such a field.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.known.contains(path) || self.open.iter().any(|open| path.starts_with(&format!("{open}.")))
    }

    /// Whether a field's path ends with these names.
    pub(crate) fn has_end(&self, end: &str) -> bool {
        self.known.iter().any(|path| path == end || path.ends_with(&format!(".{end}")))
    }

    /// Adds `spec` and `status` of a definition.
    pub(crate) fn add_definition(&mut self, definition: &Value) {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            self.add_schema(part, &schema[part]);
        }
    }

    fn add_schema(&mut self, path: &str, schema: &Value) {
        self.known.insert(path.to_owned());
        if schema["additionalProperties"].is_object() || schema["x-kubernetes-preserve-unknown-fields"] == true {
            self.open.insert(path.to_owned());
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.add_schema(&format!("{path}.{name}"), field);
        }
        if schema["items"].is_object() {
            self.add_schema(path, &schema["items"]);
        }
    }

    /// Adds the values of a chart.
    pub(crate) fn add_values(&mut self, path: &str, values: &Value) {
        for (name, value) in values.as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.add_values(&path, value);
            self.known.insert(path);
        }
    }
}
