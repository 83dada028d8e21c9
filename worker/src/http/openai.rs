//! `POST /v1/embeddings`, as OpenAI's clients send it.
//!
//! A text that is too long is refused with both numbers, unless `truncate` asks for a cut. Vectors are as the model defines
//! them. `truncate`, `normalize`, `prompt_name` and `prompt` are this worker's own fields; `dimensions`, `truncate` and `normalize` have
//! other names in the clients of other servers, too.

use axum::body::Bytes;
use axum::response::Response;
use serde::Deserialize;

use super::call::Exchange;
use super::input::{self, Input};
use super::pass::Work;
use super::prompt::prompt;
use crate::engine::{Output, Row};
use crate::error::{ApiError, Reason};
use crate::respond::{self, Format, Shape};
use crate::state::{App, Model};

#[derive(Deserialize)]
struct Body {
    input: Input,
    model: Option<String>,
    encoding_format: Option<Format>,
    #[serde(alias = "output_dimension", alias = "truncate_dim")]
    dimensions: Option<usize>,
    #[serde(alias = "truncation")]
    truncate: Option<bool>,
    #[serde(alias = "normalized", alias = "normalize_embeddings")]
    normalize: Option<bool>,
    prompt_name: Option<String>,
    prompt: Option<String>,
}

/// Answers a request for one vector per text.
pub(super) async fn embeddings(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let Exchange { app, model, .. } = exchange;
    let raw = body;
    let body: Body = input::parse(&raw)?;
    input::foreign(&raw, input::VECTORS, model)?;
    served(app, body.model.as_deref())?;
    // Clients of OpenAI tokenize with the vocabularies of OpenAI's models, whose ids mean other words here.
    if matches!(body.input, Input::Ids(_)) && !app.limits.accept_token_ids {
        let message = "input has token ids, and their vocabulary is not known to be this model's; send texts \
                       (in LangChain: check_embedding_ctx_length=False), or start the worker with --accept-token-ids";
        return Err(ApiError::new(Reason::InvalidInput, message).param("input"));
    }
    dimensions(model, body.dimensions)?;
    let work = Work::Input(body.input.checked("input")?, prompt(model, body.prompt_name, body.prompt)?);
    let shape = Shape::of(&model.presets, body.normalize, body.dimensions);
    let passed = exchange.pass(work, body.truncate, (Output::Dense, Row::dense)).await?;
    let vectors = passed.rows.into_iter().map(|vector| shape.apply(vector)).collect();
    Ok(respond::openai(&app.name, vectors, body.encoding_format.unwrap_or_default(), passed.tokens))
}

/// Refuses a request for another model.
pub(super) fn served(app: &App, model: Option<&str>) -> Result<(), ApiError> {
    match model {
        Some(model) if model != app.name => {
            let message = format!("this worker serves {}, and no other model", app.name);
            Err(ApiError::new(Reason::ModelNotFound, message).param("model"))
        }
        _ => Ok(()),
    }
}

/// Refuses more dimensions than the model has.
pub(super) fn dimensions(model: &Model, wanted: Option<usize>) -> Result<(), ApiError> {
    match wanted.filter(|wanted| !(1..=model.dimensions).contains(wanted)) {
        None => Ok(()),
        Some(wanted) => {
            let message = format!("dimensions is {wanted}; this model has 1 to {}", model.dimensions);
            Err(ApiError::new(Reason::InvalidInput, message).param("dimensions"))
        }
    }
}
