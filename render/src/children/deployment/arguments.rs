//! Command and arguments of an engine: the model to serve, the port, and the name of the model.

use belfry_crds::inference_model::{EngineType, Task};

use crate::model::{ValidEngine, ValidModel, ValidSource};

/// The command of an engine's container, unless the image already has the right one.
#[must_use]
pub(super) fn command(model: &ValidModel, engine: &ValidEngine) -> Vec<String> {
    if !engine.command.is_empty() {
        return engine.command.clone();
    }
    match engine.type_ {
        EngineType::VLLM => words(["vllm", "serve", &model.source.location()]),
        EngineType::SGLang => words(["python3", "-m", "sglang.launch_server"]),
        EngineType::Triton => words(["tritonserver"]),
        EngineType::Custom | EngineType::TEI | EngineType::LlamaCpp => vec![],
    }
}

/// The arguments of an engine's container: ours, then those of the specification, which therefore win.
#[must_use]
pub(super) fn arguments(model: &ValidModel, engine: &ValidEngine) -> Vec<String> {
    let (place, revision) = (model.source.location(), revision(&model.source));
    let (http, metrics) = (engine.http_port.to_string(), engine.metrics_port.to_string());
    let name = model.served_names.first().unwrap_or(&model.name).as_str();
    let revision = revision.map(|revision| words(["--revision", revision])).unwrap_or_default();
    let is_embedding = model.task == Task::Embedding;
    let mut arguments = match engine.type_ {
        EngineType::Custom => vec![],
        EngineType::VLLM => [
            words(["--host", "0.0.0.0", "--port", &http]),
            revision,
            words(["--served-model-name"]),
            model.served_names.clone(),
        ]
        .concat(),
        EngineType::TEI => [
            words(["--model-id", &place, "--hostname", "0.0.0.0", "--port", &http, "--served-model-name", name]),
            revision,
        ]
        .concat(),
        EngineType::SGLang => [
            words(["--model-path", &place, "--host", "0.0.0.0", "--port", &http, "--enable-metrics"]),
            words(["--served-model-name", name]),
            revision,
            if is_embedding { words(["--is-embedding"]) } else { vec![] },
        ]
        .concat(),
        EngineType::LlamaCpp => [
            words([if is_on_hub(&model.source) { "--hf-repo" } else { "--model" }, &place]),
            words(["--host", "0.0.0.0", "--port", &http, "--metrics", "--alias", name]),
            if is_embedding { words(["--embeddings"]) } else { vec![] },
        ]
        .concat(),
        EngineType::Triton => words(["--model-repository", &place, "--http-port", &http, "--metrics-port", &metrics]),
    };
    arguments.extend(engine.args.iter().cloned());
    arguments
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn revision(source: &ValidSource) -> Option<&str> {
    match source {
        ValidSource::Pvc { .. } | ValidSource::Oci { .. } | ValidSource::S3(..) => None,
        ValidSource::HuggingFace(hub, _) => Some(&hub.revision),
    }
}

fn is_on_hub(source: &ValidSource) -> bool {
    matches!(source, ValidSource::HuggingFace(..))
}
