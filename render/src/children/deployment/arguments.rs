//! Command and arguments of an engine: the model to serve, the port, and the name of the model.

use belfry_crds::inference_model::{EngineType, Task};

use super::traces;
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
    let mut arguments = match engine.type_ {
        EngineType::Custom => vec![],
        EngineType::VLLM => [
            words(["--host", "0.0.0.0", "--port", &http]),
            revision,
            words(["--served-model-name"]),
            model.served_names.clone(),
            of_task(engine.type_, model.task),
        ]
        .concat(),
        EngineType::TEI => [
            words(["--model-id", &place, "--hostname", "0.0.0.0", "--port", &http, "--served-model-name", name]),
            revision,
            of_task(engine.type_, model.task),
        ]
        .concat(),
        EngineType::SGLang => [
            words(["--model-path", &place, "--host", "0.0.0.0", "--port", &http, "--enable-metrics"]),
            words(["--served-model-name", name]),
            revision,
            of_task(engine.type_, model.task),
        ]
        .concat(),
        EngineType::LlamaCpp => [
            words([if is_on_hub(&model.source) { "--hf-repo" } else { "--model" }, &place]),
            words(["--host", "0.0.0.0", "--port", &http, "--metrics", "--alias", name]),
            of_task(engine.type_, model.task),
        ]
        .concat(),
        EngineType::Triton => words(["--model-repository", &place, "--http-port", &http, "--metrics-port", &metrics]),
    };
    arguments.extend(traces::arguments(model, engine.type_));
    arguments.extend(engine.args.iter().cloned());
    arguments
}

/// What an engine is started with for a task, beside what it sees in the model's files. `validate` refuses a task that an
/// engine does not have.
fn of_task(engine: EngineType, task: Task) -> Vec<String> {
    match (engine, task) {
        (EngineType::VLLM, Task::Rerank | Task::Classification) => {
            words(["--runner", "pooling", "--convert", "classify"])
        }
        (EngineType::TEI, Task::SparseEmbedding) => words(["--pooling", "splade"]),
        (EngineType::SGLang, Task::Embedding | Task::Classification) => words(["--is-embedding"]),
        // Cross-encoders of SGLang work with this attention alone, and without a cache of prefixes.
        (EngineType::SGLang, Task::Rerank) => [
            words(["--is-embedding", "--disable-radix-cache"]),
            words(["--chunked-prefill-size", "-1", "--attention-backend", "triton"]),
        ]
        .concat(),
        (EngineType::LlamaCpp, Task::Embedding) => words(["--embeddings"]),
        (EngineType::LlamaCpp, Task::Rerank) => words(["--embeddings", "--reranking", "--pooling", "rank"]),
        _ => vec![],
    }
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
