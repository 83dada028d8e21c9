//! `belfry diff`: which models would restart their pods between two versions of the operator.
//!
//! A Deployment replaces its pods when its pod template changes, and only then. So the templates that two versions render
//! for the same models are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use belfry_crds::InferenceModel;
use belfry_render::children::deployment::deployment;
use belfry_render::deployed::Deployed;
use belfry_render::template::holds;
use belfry_render::template::{Running, TemplateRevision};
use belfry_render::validate::validate_running;
use serde::Deserialize;
use serde_json::Value;

use crate::render::{self, Operator};

/// Exit status when a model would roll.
const ROLLS: u8 = 2;

/// Two renderings of the same models, or the models alone: then what they run on is compared with what a staged upgrade
/// to this version would move them to. `kubectl get im -A -o yaml | belfry diff -f -` asks that of a cluster.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the one version renders: a file written by its `belfry render`.
    #[arg(long, value_name = "RENDERED", required_unless_present = "filename")]
    from: Option<PathBuf>,

    /// What the other version renders: a file written by its `belfry render`.
    #[arg(
        long,
        value_name = "RENDERED",
        required_unless_present = "filename",
        conflicts_with = "filename",
        requires = "from"
    )]
    to: Option<PathBuf>,

    /// YAML with the InferenceModels, or a folder of such files, which this version renders. With their status
    /// (`kubectl get im -A -o yaml`) they keep the image and the template revision that they run on, as in the cluster.
    #[arg(short, long, value_name = "MODELS")]
    filename: Option<PathBuf>,

    /// Image of workers that models without a status run on: the --worker-image of the version before.
    #[arg(long, value_name = "IMAGE", conflicts_with = "from")]
    from_worker_image: Option<String>,

    /// Template revision that models without a status run on. Default: the newest.
    #[arg(long, value_name = "REVISION", conflicts_with = "from")]
    from_template_revision: Option<String>,

    #[command(flatten)]
    operator: Operator,
}

/// Pod templates by namespace and name of their model.
type Templates = BTreeMap<String, Value>;

/// The comparison, for people: a line with the numbers, and the fields that differ below each model that would roll.
pub(crate) fn diff(args: &Args) -> anyhow::Result<(String, ExitCode)> {
    let compared = match (&args.from, &args.to, &args.filename) {
        (Some(from), Some(to), _) => report(&rendered(from)?, &templates(render::documents(to)?)?),
        (Some(from), None, Some(models)) => {
            report(&rendered(from)?, &templates(parsed(&render::render_file(models, &args.operator)?)?)?)
        }
        (None, None, Some(models)) => staged(models, args)?,
        _ => bail!("name two renderings with --from and --to, or the models with --filename"),
    };
    Ok((compared.text, if compared.rolling == 0 { ExitCode::SUCCESS } else { ExitCode::from(ROLLS) }))
}

fn rendered(path: &Path) -> anyhow::Result<Templates> {
    templates(render::documents(path)?).with_context(|| path.display().to_string())
}

/// The models as they run, and as they would after a staged upgrade.
fn staged(models: &Path, args: &Args) -> anyhow::Result<Report> {
    let settings = args.operator.settings();
    let image = args.from_worker_image.as_ref().unwrap_or(&settings.worker_image);
    let newest = || TemplateRevision::NEWEST.as_str().to_owned();
    let revision = args.from_template_revision.clone().unwrap_or_else(newest);
    let running = Running { revision, image: image.clone() };
    let before = Deployed { running: Some(running), ..Deployed::default() };
    let (mut from, mut to, mut held) = (Templates::new(), Templates::new(), vec![]);
    for (place, mut model) in render::models(models, &args.operator)? {
        let name = model.metadata.name.clone().context("metadata.name is missing")?;
        let namespace = model.metadata.namespace.clone().unwrap_or_default();
        let key = format!("{namespace}/{name}");
        let template = |model: &InferenceModel, deployed| {
            let valid =
                validate_running(model, deployed, &settings).map_err(|problems| render::refused(&name, &problems));
            anyhow::Ok(serde_json::to_value(deployment(&valid?))?["spec"]["template"].take())
        };
        let present = template(&model, Some(&before)).with_context(|| place.clone())?;
        from.insert(key.clone(), present.clone());
        let next = if holds(&model.spec) {
            held.push(key.clone());
            present
        } else {
            model.status = None;
            template(&model, None).with_context(|| place)?
        };
        to.insert(key, next);
    }
    let mut report = report(&from, &to);
    if !held.is_empty() {
        let _ = writeln!(report.text, "Held by their specification: {}", held.join(", "));
    }
    Ok(report)
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

/// How many models would roll, and the text for people.
struct Report {
    rolling: usize,
    text: String,
}

fn report(from: &Templates, to: &Templates) -> Report {
    let both: Vec<_> = from.iter().filter_map(|(name, old)| Some((name, old, to.get(name)?))).collect();
    let rolling: Vec<_> = both
        .iter()
        .map(|(name, old, new)| (name, changes(old, new)))
        .filter(|(_, changes)| !changes.is_empty())
        .collect();
    let only = |these: &Templates, those: &Templates| these.keys().filter(|name| !those.contains_key(*name)).count();
    let mut text = format!("{} of {} models would roll", rolling.len(), both.len());
    let _ = writeln!(text, "; {} only in the first, {} only in the second.", only(from, to), only(to, from));
    for (name, changes) in &rolling {
        let _ = writeln!(text, "{name}");
        for change in changes {
            let _ = writeln!(text, "  {change}");
        }
    }
    Report { rolling: rolling.len(), text }
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
        assert_eq!(report(&same, &same).text, "0 of 1 models would roll; 0 only in the first, 0 only in the second.\n");
    }

    #[test]
    fn a_model_that_would_roll_is_named_with_the_fields_that_differ() {
        let from = templates_of(&[("search/minilm", template("a:1", 10)), ("search/gone", template("a:1", 10))]);
        let to = templates_of(&[("search/minilm", template("a:2", 5))]);
        assert_eq!(
            report(&from, &to).text,
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

    fn compared(arguments: &[&str]) -> String {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let line = <Line as clap::Parser>::try_parse_from([&["diff"][..], arguments].concat()).unwrap();
        diff(&line.args).unwrap().0
    }

    #[test]
    fn models_alone_are_compared_with_what_a_staged_upgrade_would_make_of_them() {
        let models = ["-f", "../config/samples/minimal.yaml", "--worker-image", "w:2"];
        let text = compared(&[models.as_slice(), &["--from-worker-image", "w:1"]].concat());
        assert!(text.starts_with("1 of 1 models would roll") && text.contains(".image: w:1 → w:2\n"), "{text}");
        assert!(compared(&models).starts_with("0 of 1 models would roll"));
    }

    #[test]
    fn a_model_that_is_paused_is_listed_as_held() {
        let sample = std::fs::read_to_string("../config/samples/minimal.yaml").unwrap();
        let file = std::env::temp_dir().join(format!("belfry-cli-paused-{}.yaml", std::process::id()));
        std::fs::write(&file, sample + "  rollout: {paused: true}\n").unwrap();
        let text = compared(&["-f", file.to_str().unwrap(), "--from-worker-image", "w:1", "--worker-image", "w:2"]);
        std::fs::remove_file(&file).unwrap();
        assert!(text.starts_with("0 of 1") && text.contains("Held by their specification: default/"), "{text}");
    }
}
