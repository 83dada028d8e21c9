//! `belfry render`: the operator's pure half, on a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use belfry_crds::InferenceModel;
use belfry_render::children::children;
use belfry_render::problem::Problem;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use serde::Deserialize;

/// The kind that is rendered.
const MODEL: &str = "InferenceModel";

/// Which file, and the settings of the operator that reach the children.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// YAML with one or more InferenceModels, or a folder of such files; `-` reads standard input. A model that comes from a
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

    /// The operator's --grafana-url.
    #[arg(long)]
    grafana_url: Option<String>,
}

impl Operator {
    /// The settings that an operator with these arguments has.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            worker_image: self.worker_image.clone(),
            runbook_base_url: self.runbook_base_url.clone(),
            grafana_url: self.grafana_url.clone(),
        }
    }
}

/// The children of every model in the file, as a stream of YAML documents.
pub(crate) fn render(args: &Args) -> anyhow::Result<String> {
    render_file(&args.filename, &args.operator)
}

/// The same for any file.
pub(crate) fn render_file(path: &Path, operator: &Operator) -> anyhow::Result<String> {
    let mut output = String::new();
    for (place, model) in models(path, operator)? {
        output += &render_model(&model, &operator.settings()).with_context(|| place)?;
    }
    Ok(output)
}

/// The models in a file or in the files of a folder, at least one, each with its place for messages.
pub(crate) fn models(path: &Path, operator: &Operator) -> anyhow::Result<Vec<(String, InferenceModel)>> {
    let mut found = vec![];
    for file in files(path)? {
        for (place, value) in documents(&file)? {
            for value in items(value) {
                // Beside models, a folder may hold what other programs read.
                if path.is_dir() && kind(&value) != MODEL {
                    continue;
                }
                let mut model = parse(value).with_context(|| place.clone())?;
                model.metadata.namespace.get_or_insert_with(|| operator.namespace.clone());
                found.push((place.clone(), model));
            }
        }
    }
    if found.is_empty() {
        bail!("{} holds no InferenceModel", path.display());
    }
    Ok(found)
}

/// The YAML files of a folder, in the order of their names, without those of folders in it; any other path is itself.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = vec![];
    for entry in std::fs::read_dir(path).with_context(|| format!("can't read {}", path.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
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
    let kind = kind(&value);
    if kind != MODEL {
        bail!("kind is {kind}, not {MODEL}");
    }
    Ok(serde_yaml::from_value(value)?)
}

fn kind(value: &serde_yaml::Value) -> &str {
    value.get("kind").and_then(serde_yaml::Value::as_str).unwrap_or("nothing")
}

fn render_model(model: &InferenceModel, settings: &Settings) -> anyhow::Result<String> {
    let name = model.metadata.name.as_deref().context("metadata.name is missing")?;
    let valid = validate(model, settings).map_err(|problems| refused(name, &problems))?;
    let mut output = String::new();
    for child in children(&valid)? {
        if let Some(object) = child.object {
            output += "---\n";
            output += &serde_yaml::to_string(&object)?;
        }
    }
    Ok(output)
}

/// What is wrong with a model, in one line.
pub(crate) fn refused(name: &str, problems: &[Problem]) -> anyhow::Error {
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("InferenceModel {name}: {}", problems.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_the_models_of_its_files_and_passes_over_other_kinds() {
        let folder = std::env::temp_dir().join(format!("belfry-cli-folder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let sample = std::fs::read_to_string("../config/samples/minimal.yaml").unwrap();
        std::fs::write(folder.join("b.yaml"), &sample).unwrap();
        std::fs::write(folder.join("a.yml"), format!("kind: Kustomization\n---\n{sample}")).unwrap();
        std::fs::write(folder.join("notes.txt"), "no YAML: at: all").unwrap();
        let operator = Operator {
            namespace: "search".into(),
            worker_image: "w:1".into(),
            runbook_base_url: String::new(),
            grafana_url: None,
        };
        let models = models(&folder, &operator);
        std::fs::remove_dir_all(&folder).unwrap();
        let places: Vec<_> =
            models.unwrap().into_iter().map(|(place, _)| place.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(places, ["a.yml, document 2", "b.yaml, document 1"]);
    }
}
