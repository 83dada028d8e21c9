//! `POST /embed`, as clients of text-embeddings-inference send it.
//!
//! `truncate` cuts a text that is too long; without it such a text is refused. Vectors are as the model defines them, unless
//! `normalize` says otherwise.

use serde::Deserialize;

use crate::error::{ApiError, Reason};
use crate::http::input::{self, Input};
use crate::http::{PromptChoice, Wanted};
use crate::respond::Format;

#[derive(Deserialize)]
struct Body {
    inputs: Input,
    normalize: Option<bool>,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
    prompt: Option<String>,
    dimensions: Option<usize>,
}

/// Reads a body. Fields that would change the result and are not supported are refused by name.
pub fn parse(body: &[u8]) -> Result<Wanted, ApiError> {
    let body: Body = input::parse(body)?;
    // Ignoring this would silently give other vectors than the caller asked for.
    if body.truncation_direction.is_some_and(|side| !side.eq_ignore_ascii_case("right")) {
        return Err(unsupported("truncation_direction", "texts are only cut at their right end"));
    }
    Ok(Wanted {
        input: body.inputs.checked("inputs")?,
        truncate: body.truncate,
        normalize: body.normalize,
        dimensions: body.dimensions,
        format: Format::Float,
        prompt: PromptChoice::of(body.prompt_name, body.prompt)?,
    })
}

fn unsupported(param: &'static str, message: &str) -> ApiError {
    ApiError::new(Reason::InvalidInput, message).param(param)
}
