//! `POST /v1/embeddings`, as OpenAI's clients send it.
//!
//! A text that is too long is refused with both numbers, unless `truncate` asks for a cut. Vectors are as the model defines
//! them. `truncate`, `normalize`, `prompt_name` and `prompt` are this worker's own fields.

use serde::Deserialize;

use crate::error::{ApiError, Reason};
use crate::http::input::{self, Input};
use crate::http::{PromptChoice, Wanted};
use crate::respond::Format;
use crate::state::App;

#[derive(Deserialize)]
struct Body {
    input: Input,
    model: Option<String>,
    encoding_format: Option<Format>,
    dimensions: Option<usize>,
    truncate: Option<bool>,
    normalize: Option<bool>,
    prompt_name: Option<String>,
    prompt: Option<String>,
}

/// Reads a body for the served model.
pub fn parse(body: &[u8], app: &App) -> Result<Wanted, ApiError> {
    let body: Body = input::parse(body)?;
    if body.model.is_some_and(|model| model != app.name) {
        let message = format!("this worker serves {}, and no other model", app.name);
        return Err(ApiError::new(Reason::ModelNotFound, message).param("model"));
    }
    // Clients of OpenAI tokenize with the vocabularies of OpenAI's models, whose ids mean other words here.
    if matches!(body.input, Input::Ids(_)) && !app.limits.accept_token_ids {
        let message = "input has token ids, and their vocabulary is not known to be this model's; send texts \
                       (in LangChain: check_embedding_ctx_length=False), or start the worker with --accept-token-ids";
        return Err(ApiError::new(Reason::InvalidInput, message).param("input"));
    }
    Ok(Wanted {
        input: body.input.checked("input")?,
        truncate: body.truncate,
        normalize: body.normalize,
        dimensions: body.dimensions,
        format: body.encoding_format.unwrap_or_default(),
        prompt: PromptChoice::of(body.prompt_name, body.prompt)?,
    })
}
