//! `POST /embed`, as clients of text-embeddings-inference send it.
//!
//! `truncate` cuts a text that is too long, at its end; without it such a text is refused. `normalize` is true unless
//! the caller says otherwise.

use serde::Deserialize;

use crate::error::{ApiError, Reason};
use crate::http::Wanted;
use crate::http::input::{self, Input};
use crate::respond::Format;

#[derive(Deserialize)]
struct Body {
    inputs: Input,
    normalize: Option<bool>,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
    dimensions: Option<usize>,
}

/// Reads a body. Fields that would change the result and are not supported are refused by name.
pub fn parse(body: &[u8]) -> Result<Wanted, ApiError> {
    let body: Body = input::parse(body)?;
    // Ignoring these two would silently give other vectors than the caller asked for.
    if body.truncation_direction.is_some_and(|side| !side.eq_ignore_ascii_case("right")) {
        return Err(unsupported("truncation_direction", "texts are only cut at their right end"));
    }
    if body.prompt_name.is_some() {
        return Err(unsupported("prompt_name", "prompts are not supported; put the prompt into the text"));
    }
    Ok(Wanted {
        input: body.inputs.checked("inputs")?,
        truncate: body.truncate.unwrap_or(false),
        normalize: body.normalize.unwrap_or(true),
        dimensions: body.dimensions,
        format: Format::Float,
    })
}

fn unsupported(param: &'static str, message: &str) -> ApiError {
    ApiError::new(Reason::InvalidInput, message).param(param)
}
