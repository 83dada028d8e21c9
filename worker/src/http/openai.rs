//! `POST /v1/embeddings`, as OpenAI's clients send it.
//!
//! A text that is too long is refused with both numbers, unless `truncate` asks for a cut. Vectors are as the model defines
//! them. `truncate`, `normalize`, `prompt_name` and `prompt` are this worker's own fields.

use serde::Deserialize;

use crate::error::{ApiError, Reason};
use crate::http::input::{self, Input};
use crate::http::{PromptChoice, Wanted};
use crate::respond::Format;

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

/// Reads a body; `name` is the name of the served model.
pub fn parse(body: &[u8], name: &str) -> Result<Wanted, ApiError> {
    let body: Body = input::parse(body)?;
    if body.model.is_some_and(|model| model != name) {
        let message = format!("this worker serves {name}, and no other model");
        return Err(ApiError::new(Reason::ModelNotFound, message).param("model"));
    }
    Ok(Wanted {
        input: body.input.checked("input")?,
        truncate: body.truncate.unwrap_or(false),
        normalize: body.normalize,
        dimensions: body.dimensions,
        format: body.encoding_format.unwrap_or_default(),
        prompt: PromptChoice::of(body.prompt_name, body.prompt)?,
    })
}
