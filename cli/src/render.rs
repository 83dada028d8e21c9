//! `belfry render`: the operator's pure half, on a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use belfry_crds::InferenceModel;
use belfry_operator::children::children;
use belfry_operator::settings::Settings;
use belfry_operator::validate::validate;
use serde::Deserialize;

/// Which file, and the settings of the operator that reach the children.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// YAML with one or more InferenceModels; `-` reads standard input. A model that comes from a
    /// cluster (`kubectl get im NAME -o yaml`) renders byte for byte what the operator applied.
    #[arg(short, long)]
    filename: PathBuf,

    #[command(flatten)]
    operator: Operator,
}

/// The settings of the operator that reach the children.
#[derive(clap::Args)]
pub(crate) struct Operator {
    /// Namespace of models whose metadata names none.
    #[arg(short, long, default_value = "default")]
    namespace: String,

    /// The operator's --worker-image.
    #[arg(long, default_value_t = Settings::default().worker_image)]
    worker_image: String,

    /// The operator's --runbook-base-url.
    #[arg(long, default_value_t = Settings::default().runbook_base_url)]
    runbook_base_url: String,
}

/// The children of every model in the file, as a stream of YAML documents.
pub(crate) fn render(args: &Args) -> anyhow::Result<String> {
    render_file(&args.filename, &args.operator)
}

/// The same for any file.
pub(crate) fn render_file(path: &Path, operator: &Operator) -> anyhow::Result<String> {
    let name = path.display();
    let settings =
        Settings { worker_image: operator.worker_image.clone(), runbook_base_url: operator.runbook_base_url.clone() };
    let mut output = String::new();
    for (place, value) in documents(path)? {
        for value in items(value) {
            let mut model = parse(value).with_context(|| place.clone())?;
            model.metadata.namespace.get_or_insert_with(|| operator.namespace.clone());
            output += &render_model(&model, &settings).with_context(|| place.clone())?;
        }
    }
    if output.is_empty() {
        bail!("{name} holds no InferenceModel");
    }
    Ok(output)
}

/// The documents of a YAML file that hold something, each with its place for messages.
pub(crate) fn documents(path: &Path) -> anyhow::Result<Vec<(String, serde_yaml::Value)>> {
    let name = path.display();
    let text = read(path).with_context(|| format!("can't read {name}"))?;
    let mut found = vec![];
    for (index, document) in serde_yaml::Deserializer::from_str(&text).enumerate() {
        let place = format!("{name}, document {}", index + 1);
        let value = serde_yaml::Value::deserialize(document).with_context(|| place.clone())?;
        if !value.is_null() {
            found.push((place, value));
        }
    }
    Ok(found)
}

/// The items of a list, as `kubectl get -o yaml` prints several objects; any other object is its own only item.
fn items(value: serde_yaml::Value) -> Vec<serde_yaml::Value> {
    match value.get("items").and_then(serde_yaml::Value::as_sequence) {
        Some(items) => items.clone(),
        None => vec![value],
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

fn parse(value: serde_yaml::Value) -> anyhow::Result<InferenceModel> {
    let kind = value.get("kind").and_then(serde_yaml::Value::as_str).unwrap_or("nothing");
    if kind != "InferenceModel" {
        bail!("kind is {kind}, not InferenceModel");
    }
    Ok(serde_yaml::from_value(value)?)
}

fn render_model(model: &InferenceModel, settings: &Settings) -> anyhow::Result<String> {
    let name = model.metadata.name.as_deref().context("metadata.name is missing")?;
    let valid = validate(model, settings).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("InferenceModel {name}: {}", problems.join("; "))
    })?;
    let mut output = String::new();
    for child in children(&valid)? {
        if let Some(object) = child.object {
            output += "---\n";
            output += &serde_yaml::to_string(&object)?;
        }
    }
    Ok(output)
}
