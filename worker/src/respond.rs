//! The last stage: vectors to a response body.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Cuts a vector to its first `dimensions` values, for models trained so that those suffice, and brings it to length 1.
pub fn shape(mut vector: Vec<f32>, dimensions: Option<usize>, normalize: bool) -> Vec<f32> {
    vector.truncate(dimensions.unwrap_or(usize::MAX));
    if normalize {
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        // A vector of zeros has no direction, and stays as it is.
        if length > 0.0 {
            for value in &mut vector {
                *value = (f64::from(*value) / length) as f32;
            }
        }
    }
    vector
}

/// How `/v1/embeddings` writes a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A list of numbers, which is the default.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64, which OpenAI's own clients ask for.
    Base64,
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

/// The body of `/embed`.
pub fn tei(vectors: Vec<Vec<f32>>) -> Response {
    axum::Json(vectors).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_cut_first_and_then_brought_to_length_one() {
        assert_eq!(shape(vec![3.0, 4.0, 12.0], Some(2), true), [0.6, 0.8]);
        assert_eq!(shape(vec![3.0, 4.0], None, false), [3.0, 4.0]);
        assert_eq!(shape(vec![0.0, 0.0], None, true), [0.0, 0.0]);
    }

    #[test]
    fn huge_and_tiny_vectors_do_not_overflow() {
        for scale in [f32::MAX, f32::MIN_POSITIVE] {
            let unit = shape(vec![scale, scale], None, true);
            assert!((unit[0] - 0.5_f32.sqrt()).abs() < 1e-6, "{unit:?}");
        }
    }
}
