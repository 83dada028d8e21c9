//! The last stage: vectors to a response body.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::model::pipeline::Presets;

/// What is done to a vector that the model has computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bring it to length 1 before it is cut.
    unit_first: bool,
    /// Keep its first values, for models trained so that those suffice.
    dimensions: usize,
    /// Bring it to length 1 after it is cut.
    unit_last: bool,
}

impl Shape {
    /// What a request asks for, and where it says nothing, what the model defines.
    ///
    /// sentence-transformers cuts what the model computes, and scales the result only if it is asked to. A caller who
    /// asks for fewer dimensions of unit vectors gets unit vectors, as from OpenAI.
    pub fn of(presets: &Presets, normalize: Option<bool>, dimensions: Option<usize>) -> Self {
        let asked = dimensions.is_some();
        let dimensions = dimensions.or(presets.dimensions).unwrap_or(usize::MAX);
        let (unit_first, unit_last) = match normalize {
            Some(last) => (false, last),
            None => (presets.normalize && !asked, presets.normalize && asked),
        };
        Self { unit_first, dimensions, unit_last }
    }

    /// The vector of the response.
    pub fn apply(self, mut vector: Vec<f32>) -> Vec<f32> {
        if self.unit_first {
            unit(&mut vector);
        }
        vector.truncate(self.dimensions);
        if self.unit_last {
            unit(&mut vector);
        }
        vector
    }
}

/// Brings a vector to length 1. One of zeros has no direction, and stays as it is.
fn unit(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// How `/v1/embeddings` writes a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// A list of numbers, which is the default.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64, which OpenAI's own clients ask for.
    Base64,
}

impl TryFrom<String> for Format {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "float" => Ok(Self::Float),
            "base64" => Ok(Self::Base64),
            _ => Err("expected `float` or `base64`"),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Embedding>,
    model: &'a str,
    usage: Usage,
}

/// The body of `/v1/embeddings`.
pub fn openai(model: &str, vectors: Vec<Vec<f32>>, format: Format, tokens: usize) -> Response {
    let write = |vector: Vec<f32>| match format {
        Format::Float => Vector::Float(vector),
        Format::Base64 => {
            Vector::Base64(STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
        }
    };
    let data = vectors
        .into_iter()
        .enumerate()
        .map(|(index, vector)| Embedding { object: "embedding", index, embedding: write(vector) })
        .collect();
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    axum::Json(List { object: "list", data, model, usage }).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presets(normalize: bool, dimensions: Option<usize>) -> Presets {
        Presets { normalize, dimensions, ..Presets::default() }
    }

    #[test]
    fn a_caller_who_asks_for_fewer_dimensions_of_unit_vectors_gets_unit_vectors() {
        assert_eq!(Shape::of(&presets(true, None), None, Some(2)).apply(vec![3.0, 4.0, 12.0]), [0.6, 0.8]);
    }

    #[test]
    fn a_model_without_a_step_that_normalizes_keeps_its_lengths() {
        assert_eq!(Shape::of(&presets(false, None), None, None).apply(vec![3.0, 4.0]), [3.0, 4.0]);
        assert_eq!(Shape::of(&presets(false, None), Some(true), None).apply(vec![3.0, 4.0]), [0.6, 0.8]);
    }

    #[test]
    fn a_model_that_cuts_its_own_vectors_does_so_last() {
        assert_eq!(Shape::of(&presets(true, Some(1)), None, None).apply(vec![3.0, 4.0]), [0.6]);
        assert_eq!(Shape::of(&presets(true, Some(1)), Some(true), None).apply(vec![3.0, 4.0]), [1.0]);
        assert_eq!(Shape::of(&presets(true, None), Some(false), None).apply(vec![3.0, 4.0]), [3.0, 4.0]);
    }

    #[test]
    fn huge_and_tiny_vectors_do_not_overflow_and_zeros_stay() {
        let shape = Shape::of(&presets(true, None), None, None);
        for scale in [f32::MAX, f32::MIN_POSITIVE] {
            let unit = shape.apply(vec![scale, scale]);
            assert!((unit[0] - 0.5_f32.sqrt()).abs() < 1e-6, "{unit:?}");
        }
        assert_eq!(shape.apply(vec![0.0, 0.0]), [0.0, 0.0]);
    }
}
