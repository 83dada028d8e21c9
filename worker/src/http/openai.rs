//! `POST /v1/embeddings`, as OpenAI's clients send it.
//!
//! A text that is too long is refused with both numbers, not cut: the API has no field to ask for a cut. Vectors have
//! length 1, as OpenAI's have.

use serde::Deserialize;

use crate::error::{ApiError, Reason};
use crate::http::Wanted;
use crate::http::input::{self, Input};
use crate::respond::Format;

#[derive(Deserialize)]
struct Body {
    input: Input,
    model: Option<String>,
    encoding_format: Option<Format>,
    dimensions: Option<usize>,
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
        truncate: false,
        normalize: true,
        dimensions: body.dimensions,
        format: body.encoding_format.unwrap_or_default(),
    })
}
