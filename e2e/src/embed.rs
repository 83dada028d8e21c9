//! Requests to a model, through the API server's proxy, and what their vectors say.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Answer, Served, cluster};

impl Served<'_> {
    /// `POST` of JSON to the model's Service, whatever the status.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.namespace.cluster.post(&self.address(path), body).await
    }

    /// `POST` of bytes that are said to be JSON, whatever the status.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Result<Answer> {
        self.namespace.cluster.post_bytes(&self.address(path), body).await
    }

    /// One vector for each text.
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let answer = self.post("/v1/embeddings", &json!({"input": texts})).await?.ok()?.json()?;
        let data = answer["data"].as_array().with_context(|| format!("an answer without data: {answer}"))?;
        ensure!(data.len() == texts.len(), "{} vectors for {} texts", data.len(), texts.len());
        let vector = |item: &Value| Ok(serde_json::from_value(item["embedding"].clone())?);
        data.iter().map(vector).collect()
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", cluster::service(&self.namespace.name, &self.name, "80"))
    }
}

/// 1 for the same direction, 0 for nothing in common.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_that_of_the_angle() {
        assert!((cosine(&[1.0, 0.0], &[3.0, 0.0]) - 1.0).abs() < 1e-9);
        assert!(cosine(&[1.0, 0.0], &[0.0, 2.0]).abs() < 1e-9);
        assert!((cosine(&[1.0, 1.0], &[1.0, 0.0]) - 0.5_f64.sqrt()).abs() < 1e-9);
    }
}
