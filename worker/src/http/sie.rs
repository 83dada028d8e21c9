//! The routes of SIE (Superlinked's inference engine), as its SDK calls them: `/v1/encode` and `/v1/score`, with the name of the
//! model in the path, in msgpack or JSON.
//!
//! Everything that a request of `/v1/encode` asks for comes from one pass of the model. Vectors are those of `/embed`, weights of
//! words those of `/embed_sparse`, and vectors of tokens those of `/embed_all`.

mod array;
mod body;

use axum::body::Bytes;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use self::array::{Array, Dtype};
pub(super) use self::body::name;
use self::body::{Encode, Options, Score};
use super::call::Exchange;
use super::input::{Input, Object};
use super::openai::served;
use super::pass::{Passed, Work};
use super::rerank::check;
use super::score::ranked;
use super::scoring::scores;
use super::wire::Wire;
use crate::engine::{OutputSet, Row};
use crate::error::{ApiError, Reason};
use crate::respond::Shape;
use crate::state::Model;

#[derive(Serialize)]
struct Encoded<'a> {
    model: &'a str,
    items: Vec<EncodedItem>,
    timing: Timing,
    usage: Usage,
}

#[derive(Default, Serialize)]
struct EncodedItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dense: Option<Dense>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sparse: Option<Sparse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multivector: Option<MultiVector>,
}

#[derive(Serialize)]
struct Dense {
    dims: usize,
    dtype: &'static str,
    values: Array,
}

#[derive(Serialize)]
struct Sparse {
    dims: usize,
    dtype: &'static str,
    indices: Array,
    values: Array,
}

#[derive(Serialize)]
struct MultiVector {
    token_dims: usize,
    num_tokens: usize,
    dtype: &'static str,
    values: Array,
}

/// Times in milliseconds.
#[derive(Serialize)]
struct Timing {
    total_ms: f64,
    queue_ms: f64,
    tokenization_ms: f64,
    inference_ms: f64,
}

#[derive(Serialize)]
struct Usage {
    input_tokens: usize,
}

#[derive(Serialize)]
struct Scored<'a> {
    model: &'a str,
    query_id: Option<String>,
    scores: Vec<Rank>,
    usage: Usage,
}

#[derive(Serialize)]
struct Rank {
    item_id: String,
    score: f32,
    rank: usize,
}

/// `POST /v1/encode/{model}`: what each item asks for.
pub(super) async fn encode(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    named(&exchange)?;
    let headers = &exchange.head.headers;
    let Object(Encode { items, params }) = Wire::of_body(headers).read(&body)?;
    let params = params.map(|Object(params)| params).unwrap_or_default();
    let (model, app) = (exchange.model, exchange.app);
    let outputs = OutputSet::of(params.outputs(model)?);
    let options = params.options.unwrap_or_default();
    let (ids, texts) = body::read(items)?;
    let input = Input::Texts(texts).checked("items")?;
    let work = Work::Input(input, options.prompt(model, params.instruction));
    let Passed { rows, tokens, times } = exchange.pass_for(work, options.truncate, outputs).await?;
    let (shape, dtype) = (Shape::of(&model.presets, options.normalize, None), params.output_dtype.unwrap_or_default());
    let item = |(id, rows): (Option<String>, Vec<Row>)| encoded(model, id, rows, (shape, dtype));
    let items = ids.into_iter().zip(rows).map(item).collect::<Option<Vec<_>>>().ok_or_else(|| {
        let message = "a value is too large for output_dtype float16; send float32";
        ApiError::new(Reason::InvalidInput, message).param("params")
    })?;
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let timing = Timing {
        total_ms: milliseconds(exchange.began.elapsed()),
        queue_ms: milliseconds(times.queue),
        tokenization_ms: milliseconds(times.tokenize),
        inference_ms: milliseconds(times.inference),
    };
    let usage = Usage { input_tokens: tokens };
    Wire::of_answer(headers).write(&Encoded { model: &app.name, items, timing, usage })
}

/// One item of the answer; `None` if a number is too large for the type.
fn encoded(model: &Model, id: Option<String>, rows: Vec<Row>, (shape, dtype): (Shape, Dtype)) -> Option<EncodedItem> {
    let mut item = EncodedItem { id, ..EncodedItem::default() };
    for row in rows {
        match row {
            Row::Dense(vector) => {
                let vector = shape.apply(vector);
                let values = Array::vector(&vector, dtype)?;
                item.dense = Some(Dense { dims: vector.len(), dtype: dtype.name(), values });
            }
            Row::Sparse(words) => {
                let indices = Array::indices(words.iter().map(|(word, _)| *word));
                let weights: Vec<f32> = words.into_iter().map(|(_, weight)| weight).collect();
                let (dims, dtype) = (model.tokenizer.vocabulary(), dtype.of_weights());
                let values = Array::vector(&weights, dtype)?;
                item.sparse = Some(Sparse { dims, dtype: dtype.name(), indices, values });
            }
            Row::MultiVector(vectors) => {
                let values = Array::vectors(&vectors, dtype)?;
                let (token_dims, num_tokens) = (vectors.first().map_or(0, Vec::len), vectors.len());
                item.multivector = Some(MultiVector { token_dims, num_tokens, dtype: dtype.name(), values });
            }
            // No request asks for another output here.
            _ => {}
        }
    }
    Some(item)
}

/// `POST /v1/score/{model}`: the items by their score for a query, the best first. Scores are as the model defines them.
pub(super) async fn score(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    named(&exchange)?;
    let headers = &exchange.head.headers;
    let Object(Score { query, items, instruction, options }) = Wire::of_body(headers).read(&body)?;
    let options: Options = options.unwrap_or_default().of_scores()?;
    let (model, app) = (exchange.model, exchange.app);
    let (query_id, query) = query.0.read("query", "query")?;
    let (ids, texts) = body::read(items)?;
    check(&query, &texts, "items")?;
    if instruction.is_some() && model.presets.max_sim.is_some() {
        let message = "instruction: this model has prompts of its own for queries and documents; leave it out";
        return Err(ApiError::new(Reason::InvalidInput, message).param("instruction"));
    }
    // As CrossEncoder does, whose scores SIE gives.
    let truncate = Some(options.truncate.unwrap_or(true));
    let prompt = options.prompt(model, instruction);
    let passed = scores(&mut exchange, (&query, &texts), prompt, truncate).await?;
    let scores = passed.rows.into_iter().flat_map(|score| model.defined(vec![score])).collect();
    let entry = |(rank, (index, score)): (usize, (usize, f32))| {
        let item_id = ids[index].clone().unwrap_or_else(|| format!("item-{index}"));
        Rank { item_id, score, rank }
    };
    let scores = ranked(scores).into_iter().enumerate().map(entry).collect();
    let usage = Usage { input_tokens: passed.tokens };
    Wire::of_answer(headers).write(&Scored { model: &app.name, query_id, scores, usage })
}

/// Refuses a request whose path names another model.
fn named(exchange: &Exchange<'_>) -> Result<(), ApiError> {
    let path = exchange.head.uri.path();
    let name = path.strip_prefix(exchange.endpoint.path()).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    served(exchange.app, Some(&percent_decode_str(name).decode_utf8_lossy()))
}
