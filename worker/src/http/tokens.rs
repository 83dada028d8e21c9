//! `POST /tokenize` and `POST /decode`, as clients of text-embeddings-inference send them. They use the tokenizer alone, so they
//! are not counted as inference.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::call::admitted;
use super::input::{self, Input};
use super::pass::{blocking, refusal};
use super::prompt::prompt;
use crate::admit;
use crate::endpoint::Endpoint;
use crate::error::{ApiError, Reason};
use crate::state::App;
use crate::tokenize::Token;

#[derive(Deserialize)]
struct Texts {
    inputs: Input,
    #[serde(default = "yes")]
    add_special_tokens: bool,
    prompt_name: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Ids {
    ids: Input,
    #[serde(default = "yes")]
    skip_special_tokens: bool,
}

#[derive(Serialize)]
struct Shown {
    id: u32,
    text: String,
    special: bool,
    start: Option<usize>,
    stop: Option<usize>,
}

impl From<Token> for Shown {
    fn from(Token { id, text, special, place }: Token) -> Self {
        let (start, stop) = place.unzip();
        Self { id, text, special, start, stop }
    }
}

/// The tokens of texts.
pub(super) async fn tokenize(State(app): State<Arc<App>>, request: Request) -> Response {
    tokens(&app, request).await.unwrap_or_else(|error| error.into_response(Endpoint::Embed))
}

async fn tokens(app: &Arc<App>, request: Request) -> Result<Response, ApiError> {
    let (model, _, body) = admitted(app, Endpoint::Embed, request).await?;
    let Texts { inputs, add_special_tokens, prompt_name } = input::parse(&body.bytes)?;
    let prompt = match prompt_name {
        Some(name) => prompt(model, Some(name), None)?.text,
        None => String::new(),
    };
    let Input::Texts(texts) = inputs.checked("inputs")? else {
        return Err(ApiError::new(Reason::InvalidInput, "inputs has token ids; send texts").param("inputs"));
    };
    admit::count(app, Endpoint::Embed, texts.len()).map_err(|error| error.param("inputs"))?;
    let work = move |model: &crate::state::Model| {
        let all = texts.iter().map(|text| model.tokenizer.tokens(&format!("{prompt}{text}"), add_special_tokens));
        all.enumerate().map(|(index, tokens)| tokens.map_err(|why| refusal("inputs", index, &why))).collect()
    };
    let all: Result<Vec<Vec<Token>>, ApiError> = blocking(app, work).await?;
    let shown: Vec<Vec<Shown>> = all?.into_iter().map(|one| one.into_iter().map(Shown::from).collect()).collect();
    Ok(Json(shown).into_response())
}

/// The texts of token ids.
pub(super) async fn decode(State(app): State<Arc<App>>, request: Request) -> Response {
    texts(&app, request).await.unwrap_or_else(|error| error.into_response(Endpoint::Embed))
}

async fn texts(app: &Arc<App>, request: Request) -> Result<Response, ApiError> {
    let (_, _, body) = admitted(app, Endpoint::Embed, request).await?;
    let Ids { ids, skip_special_tokens } = input::parse(&body.bytes)?;
    let Input::Ids(lists) = ids.checked("ids")? else {
        return Err(ApiError::new(Reason::InvalidInput, "ids has texts; send token ids").param("ids"));
    };
    admit::count(app, Endpoint::Embed, lists.len()).map_err(|error| error.param("ids"))?;
    let work = move |model: &crate::state::Model| {
        let all = lists.iter().map(|ids| model.tokenizer.decode(ids, skip_special_tokens));
        all.enumerate().map(|(index, text)| text.map_err(|why| refusal("ids", index, &why))).collect()
    };
    let texts: Result<Vec<String>, ApiError> = blocking(app, work).await?;
    Ok(Json(texts?).into_response())
}
