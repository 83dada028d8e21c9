//! Folders that are built as well-known models are, with small random weights: from `kubectl apply` to an answer that is
//! what sentence-transformers computes (`worker/parity/shapes.py` wrote it down).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use belfry_crds::InferenceModel;
use belfry_e2e::embed::cosine;
use belfry_e2e::{Namespace, Served, TestResult, in_namespace, sample};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cases::{self, Tensor};

/// Names of the folders, and what each is for.
const SHAPES: &[(&str, &str)] = &[
    ("bge-m3", "Embedding"),
    ("multilingual-e5", "Embedding"),
    ("all-mpnet-base", "Embedding"),
    ("bge-reranker", "Rerank"),
    ("qwen3-embedding", "Embedding"),
    ("qwen3-reranker", "Rerank"),
    ("splade", "SparseEmbedding"),
];

/// Smallest cosine with the reference.
const COSINE: f64 = 0.9999;

#[derive(Deserialize)]
struct Case {
    files: BTreeMap<String, Value>,
    tensors: BTreeMap<String, BTreeMap<String, Tensor>>,
    texts: Vec<String>,
    pairs: Vec<(String, String)>,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    prompt_name: Option<String>,
    #[serde(default)]
    dense: Vec<Vec<f32>>,
    #[serde(default)]
    labels: Vec<Vec<f32>>,
    #[serde(default)]
    sparse: Vec<Vec<(usize, f32)>>,
    #[serde(default)]
    multi: Vec<Vec<Vec<f32>>>,
}

#[tokio::test]
async fn models_of_every_kind_go_from_apply_to_the_answer_of_their_library() -> TestResult {
    in_namespace("shapes", async |ns| {
        let volume = ns.volume().await?;
        let mut served = vec![];
        for (name, task) in SHAPES {
            let case = read(name)?;
            volume.fill(name, |folder| cases::write(folder, &case.files, &case.tensors))?;
            served.push((serve(ns, name, task).await?, case));
        }
        for (model, case) in &served {
            model.until_serving().await.with_context(|| model.name.clone())?;
            for request in &case.requests {
                check(model, case, request).await.with_context(|| model.name.clone())?;
            }
        }
        Ok(())
    })
    .await
}

fn read(name: &str) -> Result<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../worker/tests/shapes").join(format!("{name}.json"));
    let text = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

async fn serve<'a>(ns: &'a Namespace, name: &str, task: &str) -> Result<Served<'a>> {
    let mut model: InferenceModel = sample("minilm")?;
    model.metadata.name = Some(name.to_owned());
    model.spec.task = serde_json::from_value(json!(task))?;
    if let Some(pvc) = &mut model.spec.model.source.pvc {
        pvc.path = Some(name.to_owned());
    }
    model.spec.runtime = Some(serde_json::from_value(json!({"dtype": "float32"}))?);
    model.spec.resources = Some(serde_json::from_value(
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}),
    )?);
    ns.serve(&model).await
}

async fn check(model: &Served<'_>, case: &Case, request: &Request) -> Result<()> {
    if !request.labels.is_empty() {
        return scores(model, case, request).await;
    }
    let body = json!({"inputs": case.texts, "truncate": true, "prompt_name": request.prompt_name});
    if !request.dense.is_empty() {
        let answer = model.post("/embed", &body).await?.ok()?.json()?;
        let rows: Vec<Vec<f32>> = serde_json::from_value(answer)?;
        each(&rows, &request.dense, |own, other| near(own, other))?;
    }
    if !request.sparse.is_empty() {
        let answer = model.post("/embed_sparse", &body).await?.ok()?.json()?;
        let rows: Vec<Vec<Word>> = serde_json::from_value(answer)?;
        each(&rows, &request.sparse, |own, other| same_words(own, other))?;
    }
    if !request.multi.is_empty() {
        let answer = model.post("/embed_all", &body).await?.ok()?.json()?;
        let rows: Vec<Vec<Vec<f32>>> = serde_json::from_value(answer)?;
        each(&rows, &request.multi, |own, other| each(own, other, |own, other| near(own, other)))?;
    }
    Ok(())
}

/// Compares as many rows as there are in the reference.
fn each<T, U>(own: &[T], other: &[U], same: impl Fn(&T, &U) -> Result<()>) -> Result<()> {
    ensure!(own.len() == other.len(), "{} rows, and not {}", own.len(), other.len());
    own.iter().zip(other).try_for_each(|(own, other)| same(own, other))
}

#[derive(Deserialize)]
struct Word {
    index: usize,
    value: f32,
}

/// The same weight for each word. A text may have none.
fn same_words(own: &[Word], other: &[(usize, f32)]) -> Result<()> {
    let (own, other): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (own.iter().map(|word| (word.index, word.value)).collect(), other.iter().copied().collect());
    for word in own.keys().chain(other.keys()) {
        let weight = |words: &BTreeMap<usize, f32>| words.get(word).copied().unwrap_or_default();
        let (own, other) = (weight(&own), weight(&other));
        ensure!((own - other).abs() < 1e-3, "word {word} weighs {own}, and not {other}");
    }
    Ok(())
}

fn near(own: &[f32], other: &[f32]) -> Result<()> {
    ensure!(own.len() == other.len(), "{} values, and not {}", own.len(), other.len());
    let cosine = cosine(own, other);
    ensure!(cosine >= COSINE, "cosine {cosine}");
    Ok(())
}

async fn scores(model: &Served<'_>, case: &Case, request: &Request) -> Result<()> {
    ensure!(
        case.pairs.len() == request.labels.len(),
        "{} pairs, and {} scores",
        case.pairs.len(),
        request.labels.len()
    );
    for ((query, text), label) in case.pairs.iter().zip(&request.labels) {
        let body = json!({"query": query, "documents": [text]});
        let answer = model.post("/v1/rerank", &body).await?.ok()?.json()?;
        let score = answer["results"][0]["relevance_score"].as_f64().context("no score")?;
        let label = f64::from(label[0]);
        // LogitScore gives what the network computes; the route answers its logistic function, as it says of all scores.
        let wanted = if model.name == "qwen3-reranker" { 1.0 / (1.0 + (-label).exp()) } else { label };
        ensure!((score - wanted).abs() < 1e-3, "score {score}, and not {wanted}");
    }
    Ok(())
}
