//! `belfry diff`: which models would restart their pods between two versions of the operator.
//!
//! A Deployment replaces its pods when its pod template changes, and only then. So the templates that two versions render
//! for the same models are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::render::{self, Operator};

/// Two renderings of the same models.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the one version renders: a file written by its `belfry render`.
    #[arg(long, value_name = "RENDERED")]
    from: PathBuf,

    /// What the other version renders: a file written by its `belfry render`.
    #[arg(long, value_name = "RENDERED", required_unless_present = "filename", conflicts_with = "filename")]
    to: Option<PathBuf>,

    /// YAML with the InferenceModels, which this version renders. With their status (`kubectl get im -A -o yaml`) they keep
    /// the image and the template revision that they run on, as in the cluster.
    #[arg(short, long, value_name = "MODELS")]
    filename: Option<PathBuf>,

    #[command(flatten)]
    operator: Operator,
}

/// Pod templates by namespace and name of their model.
type Templates = BTreeMap<String, Value>;

/// The comparison, for people: a line with the numbers, and the fields that differ below each model that would roll.
pub(crate) fn diff(args: &Args) -> anyhow::Result<String> {
    let from = templates(render::documents(&args.from)?).with_context(|| args.from.display().to_string())?;
    let to = match (&args.to, &args.filename) {
        (Some(to), _) => render::documents(to)?,
        (None, Some(models)) => parsed(&render::render_file(models, &args.operator)?)?,
        (None, None) => bail!("name the other side: --to with what a version rendered, or --filename with the models"),
    };
    Ok(report(&from, &templates(to)?))
}

fn parsed(text: &str) -> anyhow::Result<Vec<(String, serde_yaml::Value)>> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents.map(|document| Ok((String::new(), serde_yaml::Value::deserialize(document)?))).collect()
}

fn templates(documents: Vec<(String, serde_yaml::Value)>) -> anyhow::Result<Templates> {
    let mut found = Templates::new();
    for (place, document) in documents {
        let object: Value = serde_json::to_value(document).with_context(|| place.clone())?;
        if object["kind"] == "Deployment" {
            let part = |field: &str| object["metadata"][field].as_str().unwrap_or("default");
            found.insert(format!("{}/{}", part("namespace"), part("name")), object["spec"]["template"].clone());
        }
    }
    if found.is_empty() {
        bail!("holds no Deployment: it has to be what `belfry render` prints");
    }
    Ok(found)
}

fn report(from: &Templates, to: &Templates) -> String {
    let both: Vec<_> = from.iter().filter_map(|(name, old)| Some((name, old, to.get(name)?))).collect();
    let rolling: Vec<_> = both
        .iter()
        .map(|(name, old, new)| (name, changes(old, new)))
        .filter(|(_, changes)| !changes.is_empty())
        .collect();
    let only = |these: &Templates, those: &Templates| these.keys().filter(|name| !those.contains_key(*name)).count();
    let mut text = format!("{} of {} models would roll", rolling.len(), both.len());
    let _ = writeln!(text, "; {} only in the first, {} only in the second.", only(from, to), only(to, from));
    for (name, changes) in rolling {
        let _ = writeln!(text, "{name}");
        for change in changes {
            let _ = writeln!(text, "  {change}");
        }
    }
    text
}

/// The fields that differ, each with both of its values.
fn changes(old: &Value, new: &Value) -> Vec<String> {
    let mut found = vec![];
    walk("", old, new, &mut found);
    found
}

fn walk(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if old == new {
        return;
    }
    match (entries(old), entries(new)) {
        (Some(old), Some(new)) => {
            for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                let side = |entries: &BTreeMap<String, Value>| entries.get(key).cloned().unwrap_or(Value::Null);
                walk(&format!("{path}{key}"), &side(&old), &side(&new), found);
            }
        }
        _ => found.push(format!("{}: {} → {}", path.trim_start_matches('.'), shown(old), shown(new))),
    }
}

/// The parts of a value under the keys that a reader would use: `.field`, or `[name]` where elements of a list have names.
fn entries(value: &Value) -> Option<BTreeMap<String, Value>> {
    match value {
        Value::Object(map) => Some(map.iter().map(|(key, value)| (format!(".{key}"), value.clone())).collect()),
        Value::Array(list) => {
            let key = |(index, item): (usize, &Value)| match item["name"].as_str() {
                Some(name) => (format!("[{name}]"), item.clone()),
                None => (format!("[{index}]"), item.clone()),
            };
            Some(list.iter().enumerate().map(key).collect())
        }
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(image: &str, period: u32) -> Value {
        json!({"spec": {"containers": [
            {"name": "worker", "image": image, "livenessProbe": {"periodSeconds": period}, "args": ["--a"]},
        ]}})
    }

    fn templates_of(models: &[(&str, Value)]) -> Templates {
        models.iter().map(|(name, template)| ((*name).to_owned(), template.clone())).collect()
    }

    #[test]
    fn a_model_whose_template_is_the_same_does_not_roll() {
        let same = templates_of(&[("search/minilm", template("a:1", 10))]);
        assert_eq!(report(&same, &same), "0 of 1 models would roll; 0 only in the first, 0 only in the second.\n");
    }

    #[test]
    fn a_model_that_would_roll_is_named_with_the_fields_that_differ() {
        let from = templates_of(&[("search/minilm", template("a:1", 10)), ("search/gone", template("a:1", 10))]);
        let to = templates_of(&[("search/minilm", template("a:2", 5))]);
        assert_eq!(
            report(&from, &to),
            "1 of 1 models would roll; 1 only in the first, 0 only in the second.\n\
             search/minilm\n  \
             spec.containers[worker].image: a:1 → a:2\n  \
             spec.containers[worker].livenessProbe.periodSeconds: 10 → 5\n"
        );
    }

    #[test]
    fn a_field_that_appears_or_goes_is_a_change() {
        let found = changes(&json!({"a": {"b": 1}, "args": ["x"]}), &json!({"args": ["x", "y"], "c": true}));
        assert_eq!(found, ["a: {\"b\":1} → nothing", "args[1]: nothing → y", "c: nothing → true"]);
    }

    #[test]
    fn a_file_without_deployments_is_refused() {
        let service = serde_yaml::from_str("kind: Service").unwrap();
        let error = templates(vec![("x".into(), service)]).unwrap_err();
        assert!(error.to_string().contains("belfry render"), "{error}");
    }
}
