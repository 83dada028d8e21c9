//! The routes of text-embeddings-inference, as its clients send them.
//!
//! `truncate` cuts a text that is too long; without it such a text is refused. Vectors are as the model defines them, unless
//! `normalize` says otherwise. Errors of these routes are flat, as that server's are.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::call::Exchange;
use super::entities;
use super::input::{self, Input};
use super::openai::dimensions;
use super::pass::{Passed, Times, Work};
use super::prompt::{of_scores, prompt};
use super::rerank::{self, check};
use super::score::{logistic, ranked, softmax};
use super::scoring::{scores, shown};
use crate::engine::{Output, Row};
use crate::error::{ApiError, Reason};
use crate::respond::Shape;
use crate::state::Model;

#[derive(Deserialize)]
struct Texts {
    inputs: Input,
    #[serde(alias = "normalize_embeddings")]
    normalize: Option<bool>,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
    prompt: Option<String>,
    #[serde(alias = "truncate_dim")]
    dimensions: Option<usize>,
}

impl Texts {
    fn read(raw: &Bytes, model: &Model) -> Result<Self, ApiError> {
        let body: Self = input::parse(raw)?;
        right(body.truncation_direction.as_deref())?;
        input::foreign(raw, input::VECTORS, model)?;
        Ok(body)
    }
}

/// Ignoring another side would silently give other results than the caller asked for.
pub(super) fn right(side: Option<&str>) -> Result<(), ApiError> {
    match side {
        Some(side) if !side.eq_ignore_ascii_case("right") => {
            let message =
                "a request can't choose the side at which texts are cut; the model's tokenizer_config.json does";
            Err(ApiError::new(Reason::InvalidInput, message).param("truncation_direction"))
        }
        _ => Ok(()),
    }
}

/// `POST /embed`: one vector per text.
pub(super) async fn embed(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let body = Texts::read(&body, exchange.model)?;
    dimensions(exchange.model, body.dimensions)?;
    let shape = Shape::of(&exchange.model.presets, body.normalize, body.dimensions);
    let input = body.inputs.checked("inputs")?;
    let characters = input.characters();
    let work = Work::Input(input, prompt(exchange.model, body.prompt_name, body.prompt)?);
    let passed = exchange.pass(work, body.truncate, (Output::Dense, Row::dense)).await?;
    let head = head(&exchange, &passed, characters);
    let vectors: Vec<Vec<f32>> = passed.rows.into_iter().map(|vector| shape.apply(vector)).collect();
    Ok((head, Json(vectors)).into_response())
}

/// `POST /embed_all`: one vector per token, as the network computes them.
pub(super) async fn embed_all(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let body = Texts::read(&body, exchange.model)?;
    let input = body.inputs.checked("inputs")?;
    let characters = input.characters();
    let work = Work::Input(input, prompt(exchange.model, body.prompt_name, body.prompt)?);
    let passed = exchange.pass(work, body.truncate, (Output::MultiVector, Row::multi_vector)).await?;
    Ok((head(&exchange, &passed, characters), Json(passed.rows)).into_response())
}

#[derive(Serialize)]
struct Word {
    index: u32,
    value: f32,
}

/// `POST /embed_sparse`: the words of the vocabulary that have a weight.
pub(super) async fn embed_sparse(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let body = Texts::read(&body, exchange.model)?;
    let input = body.inputs.checked("inputs")?;
    let characters = input.characters();
    let work = Work::Input(input, prompt(exchange.model, body.prompt_name, body.prompt)?);
    let passed = exchange.pass(work, body.truncate, (Output::Sparse, Row::sparse)).await?;
    let head = head(&exchange, &passed, characters);
    let word = |(index, value)| Word { index, value };
    let rows: Vec<Vec<Word>> = passed.rows.into_iter().map(|row| row.into_iter().map(word).collect()).collect();
    Ok((head, Json(rows)).into_response())
}

#[derive(Deserialize)]
struct Rerank {
    query: String,
    texts: Vec<String>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
    prompt: Option<String>,
}

#[derive(Serialize)]
struct Rank {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    score: f32,
}

/// A body in the form of Jina's clients, which infinity's and vLLM's send to this path.
#[derive(Deserialize)]
struct Documents {
    documents: Option<IgnoredAny>,
}

/// `POST /rerank`: the texts by their score, the best first.
pub(super) async fn rerank(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    if input::parse::<Documents>(&body)?.documents.is_some() {
        return rerank::rerank(exchange, body).await;
    }
    let raw = body;
    let body: Rerank = input::parse(&raw)?;
    right(body.truncation_direction.as_deref())?;
    input::foreign(&raw, input::SCORES, exchange.model)?;
    check(&body.query, &body.texts, "texts")?;
    let characters = body.texts.iter().map(|text| text.chars().count()).sum();
    let prompt = of_scores(exchange.model, body.prompt_name, body.prompt)?;
    let passed = scores(&mut exchange, (&body.query, &body.texts), prompt, body.truncate).await?;
    let head = head(&exchange, &passed, characters);
    let rank = |(index, score): (usize, f32)| Rank {
        index,
        text: body.return_text.then(|| body.texts[index].clone()),
        score: if body.raw_scores { score } else { shown(exchange.model, score) },
    };
    let ranks: Vec<Rank> = ranked(passed.rows).into_iter().map(rank).collect();
    Ok((head, Json(ranks)).into_response())
}

#[derive(Deserialize)]
struct Predict {
    inputs: Sequences,
    #[serde(default)]
    raw_scores: bool,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
    prompt: Option<String>,
    parameters: Option<PredictParameters>,
}

/// What Hugging Face's client sends, always; it expects a list for each text, even for one.
#[derive(Deserialize)]
struct PredictParameters {
    top_k: Option<usize>,
    function_to_apply: Option<Function>,
}

/// How the numbers of a head become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Function {
    Softmax,
    Sigmoid,
    None,
}

impl TryFrom<String> for Function {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "softmax" => Ok(Self::Softmax),
            "sigmoid" => Ok(Self::Sigmoid),
            "none" => Ok(Self::None),
            _ => Err("expected `softmax`, `sigmoid` or `none`"),
        }
    }
}

impl Function {
    fn apply(self, row: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Softmax => softmax(&row),
            Self::Sigmoid => row.into_iter().map(logistic).collect(),
            Self::None => row,
        }
    }
}

/// A text, a pair of texts, or a list of texts and pairs.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, a pair of strings, or an array of arrays of one or two strings")]
enum Sequences {
    Text(String),
    Pair(Vec<String>),
    Batch(Vec<Vec<String>>),
}

#[derive(Serialize)]
struct Prediction {
    score: f32,
    label: String,
}

/// `POST /predict`: the labels of a text or a pair, the likeliest first.
pub(super) async fn predict(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    if exchange.model.outputs.has(Output::TokenClasses) {
        return entities::predict(exchange, body).await;
    }
    let raw = body;
    let body: Predict = input::parse(&raw)?;
    right(body.truncation_direction.as_deref())?;
    input::foreign(&raw, input::CLASSES, exchange.model)?;
    let prompt = prompt(exchange.model, body.prompt_name, body.prompt)?;
    let (sequences, is_batch) = match body.inputs {
        Sequences::Text(text) => (vec![vec![text]], false),
        Sequences::Pair(pair) => (vec![pair], false),
        Sequences::Batch(batch) => (batch, true),
    };
    let invalid = |message: &str| ApiError::new(Reason::InvalidInput, message).param("inputs");
    if sequences.is_empty() || sequences == [Vec::<String>::new()] {
        return Err(invalid("inputs is empty; send at least one text"));
    }
    let count = sequences[0].len();
    if sequences.iter().any(|texts| texts.len() != count) || !(1..=2).contains(&count) {
        return Err(invalid("inputs must be texts alone, or pairs of texts alone"));
    }
    if sequences.iter().flatten().any(String::is_empty) {
        return Err(invalid("a text of inputs is empty"));
    }
    let characters = sequences.iter().flatten().map(|text| text.chars().count()).sum();
    let work = if count == 1 {
        let texts = sequences.into_iter().flatten().collect();
        Work::Input(Input::Texts(texts), prompt)
    } else {
        let pair = |texts: Vec<String>| {
            let mut texts = texts.into_iter();
            (texts.next().unwrap_or_default(), texts.next().unwrap_or_default())
        };
        Work::Pairs(sequences.into_iter().map(pair).collect(), prompt)
    };
    let passed = if exchange.model.outputs.has(Output::Score) {
        let Passed { rows, tokens, times } = exchange.pass(work, body.truncate, (Output::Score, Row::score)).await?;
        Passed { rows: rows.into_iter().map(|score| vec![score]).collect(), tokens, times }
    } else {
        exchange.pass(work, body.truncate, (Output::Classes, Row::classes)).await?
    };
    let head = head(&exchange, &passed, characters);
    let labels = &exchange.model.presets.labels;
    let most = body.parameters.as_ref().and_then(|given| given.top_k).unwrap_or(usize::MAX);
    let function = body.parameters.as_ref().and_then(|given| given.function_to_apply);
    let is_batch = is_batch || body.parameters.is_some();
    let shown = |row: Vec<f32>| {
        let usual = if row.len() == 1 { Function::Sigmoid } else { Function::Softmax };
        let scores = if body.raw_scores { row } else { function.unwrap_or(usual).apply(row) };
        let label = |index: usize| labels.get(index).cloned().unwrap_or_else(|| format!("LABEL_{index}"));
        ranked(scores).into_iter().take(most).map(|(index, score)| Prediction { score, label: label(index) }).collect()
    };
    let mut rows: Vec<Vec<Prediction>> = passed.rows.into_iter().map(shown).collect();
    Ok(if is_batch { (head, Json(rows)).into_response() } else { (head, Json(rows.swap_remove(0))).into_response() })
}

#[derive(Deserialize)]
struct Similarity {
    inputs: Compared,
    parameters: Option<SimilarityParameters>,
}

#[derive(Deserialize)]
struct Compared {
    source_sentence: String,
    sentences: Vec<String>,
}

#[derive(Default, Deserialize)]
struct SimilarityParameters {
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
}

/// `POST /similarity`: the cosine of a text with each of the others.
pub(super) async fn similarity(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let body: Similarity = input::parse(&body)?;
    let parameters = body.parameters.unwrap_or_default();
    right(parameters.truncation_direction.as_deref())?;
    check(&body.inputs.source_sentence, &body.inputs.sentences, "inputs")?;
    let texts: Vec<String> = [body.inputs.source_sentence].into_iter().chain(body.inputs.sentences).collect();
    let characters = texts.iter().map(|text| text.chars().count()).sum();
    let work = Work::Input(Input::Texts(texts), prompt(exchange.model, parameters.prompt_name, None)?);
    let passed = exchange.pass(work, parameters.truncate, (Output::Dense, Row::dense)).await?;
    let head = head(&exchange, &passed, characters);
    let shape = Shape::of(&exchange.model.presets, Some(true), None);
    let mut vectors = passed.rows.into_iter().map(|vector| shape.apply(vector));
    let source = vectors.next().unwrap_or_default();
    let cosine =
        |vector: Vec<f32>| source.iter().zip(&vector).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32;
    Ok((head, Json(vectors.map(cosine).collect::<Vec<f32>>())).into_response())
}

/// A body whose `inputs` are an object.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "inputs")]
    _inputs: BTreeMap<String, IgnoredAny>,
}

/// `POST /` of a model with vectors: Hugging Face's client asks for vectors and for similarities at the same address.
pub(super) async fn embed_or_compare(exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    if input::parse::<Object>(&body).is_ok() { similarity(exchange, body).await } else { embed(exchange, body).await }
}

/// The headers in which that server reports the cost of a request; times are in milliseconds.
pub(super) fn head<T>(exchange: &Exchange<'_>, passed: &Passed<T>, characters: usize) -> HeaderMap {
    let Times { tokenize, queue, inference } = passed.times;
    let total = exchange.began.elapsed().as_millis();
    let device = if exchange.model.about.device == "cpu" { "cpu" } else { "gpu" };
    let rows = [
        ("x-compute-type", device.to_owned()),
        ("x-compute-time", total.to_string()),
        ("x-compute-characters", characters.to_string()),
        ("x-compute-tokens", passed.tokens.to_string()),
        ("x-total-time", total.to_string()),
        ("x-tokenization-time", tokenize.as_millis().to_string()),
        ("x-queue-time", queue.as_millis().to_string()),
        ("x-inference-time", inference.as_millis().to_string()),
    ];
    let row = |(name, value): (&'static str, String)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    };
    rows.into_iter().filter_map(row).collect()
}
