//! `POST /predict` of a model that classifies tokens, as Hugging Face's client sends it for `token-classification`.

use std::collections::HashSet;

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::call::Exchange;
use super::input::{self, Input, Object};
use super::pass::{Work, blocking, refusal};
use super::tei::{head, right};
use crate::engine::{Output, Row};
use crate::error::{ApiError, Reason};
use crate::model::entities::{Aggregation, Entity, Wanted, entities};
use crate::state::{Model, Prompt};
use crate::tokenize::Refused;

#[derive(Deserialize)]
struct Body {
    inputs: Texts,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    #[serde(default)]
    raw_scores: bool,
    parameters: Option<Object<Parameters>>,
}

/// A text, texts, or texts each in a list of its own, as text-embeddings-inference has them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, an array of strings, or an array of arrays of one string")]
enum Texts {
    One(String),
    Several(Vec<String>),
    Listed(Vec<[String; 1]>),
}

/// Those of the pipeline, and those of classifiers of whole texts, which count for nothing here.
#[derive(Default, Deserialize)]
struct Parameters {
    aggregation_strategy: Option<Aggregation>,
    ignore_labels: Option<HashSet<String>>,
    stride: Option<IgnoredAny>,
    is_split_into_words: Option<bool>,
    delimiter: Option<IgnoredAny>,
    offset_mapping: Option<IgnoredAny>,
    top_k: Option<IgnoredAny>,
    function_to_apply: Option<IgnoredAny>,
}

impl Parameters {
    /// The parameter that would change the answer and is not supported, and what to do instead.
    fn unsupported(&self) -> Option<(&'static str, &'static str)> {
        const LEAVE: &str = "leave it out";
        const WHOLE: &str = "send whole texts";
        let given = [
            ("stride", self.stride.is_some(), "send the parts of a long text as texts of their own"),
            ("is_split_into_words", self.is_split_into_words == Some(true), WHOLE),
            ("delimiter", self.delimiter.is_some(), WHOLE),
            ("offset_mapping", self.offset_mapping.is_some(), LEAVE),
            ("top_k", self.top_k.is_some(), LEAVE),
            ("function_to_apply", self.function_to_apply.is_some(), LEAVE),
        ];
        given.into_iter().find(|(_, is_given, _)| *is_given).map(|(name, _, instead)| (name, instead))
    }
}

/// Answers with the entities of each text.
pub(super) async fn predict(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let raw = body;
    let body: Body = input::parse(&raw)?;
    right(body.truncation_direction.as_deref())?;
    input::foreign(&raw, input::ENTITIES, exchange.model)?;
    if body.raw_scores {
        let message = "raw_scores is not for a model that classifies tokens; leave it out";
        return Err(ApiError::new(Reason::InvalidInput, message).param("raw_scores"));
    }
    let parameters = body.parameters.map(|Object(given)| given).unwrap_or_default();
    if let Some((name, instead)) = parameters.unsupported() {
        let message = format!("parameters.{name} is not supported by a model that classifies tokens; {instead}");
        return Err(ApiError::new(Reason::InvalidInput, message).param("parameters"));
    }
    let (texts, is_batch) = match body.inputs {
        Texts::One(text) => (vec![text], false),
        Texts::Several(texts) => (texts, true),
        Texts::Listed(lists) => (lists.into_iter().flatten().collect(), true),
    };
    let input = Input::Texts(texts.clone()).checked("inputs")?;
    let characters = input.characters();
    // The pipeline knows no prompts, and places are those of the caller's text.
    let work = Work::Input(input, Prompt::default());
    let passed = exchange.pass(work, body.truncate, (Output::TokenClasses, Row::token_classes)).await?;
    let head = head(&exchange, &passed, characters);
    let aggregation = parameters.aggregation_strategy.unwrap_or_default();
    let ignored = parameters.ignore_labels.unwrap_or_else(|| HashSet::from(["O".to_owned()]));
    let (rows, param) = (passed.rows, exchange.endpoint.input_name());
    let made = blocking(exchange.app, move |model| {
        let wanted = Wanted { labels: &model.presets.labels, aggregation, ignored: &ignored };
        let of = |(index, (text, numbers)): (usize, (&String, Vec<Vec<f32>>))| {
            of_text(model, text, &numbers, &wanted).map_err(|refused| refusal(param, index, &refused))
        };
        texts.iter().zip(rows).enumerate().map(of).collect::<Result<Vec<_>, _>>()
    });
    let mut all = made.await??;
    Ok(if is_batch { (head, Json(all)).into_response() } else { (head, Json(all.swap_remove(0))).into_response() })
}

fn of_text(model: &Model, text: &str, numbers: &[Vec<f32>], wanted: &Wanted<'_>) -> Result<Vec<Entity>, Refused> {
    let pieces = model.tokenizer.pieces(text)?;
    // Numbers of other tokens than these would be answers about other words.
    if pieces.len() != numbers.len() {
        return Err(Refused::Tokenizer);
    }
    Ok(entities(&pieces, numbers, wanted, |tokens| model.tokenizer.joined(tokens)))
}
