//! `POST /v1/rerank`, as Cohere's and Jina's clients send it; `/rerank` takes this form too.

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Exchange;
use super::input;
use super::openai::served;
use super::prompt;
use super::score::ranked;
use super::scoring::{scores, shown};
use crate::error::{ApiError, Reason};

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    query: String,
    documents: Vec<Document>,
    #[serde(alias = "top_k")]
    top_n: Option<usize>,
    return_documents: Option<bool>,
    #[serde(alias = "truncation")]
    truncate: Option<bool>,
    #[serde(default)]
    raw_scores: bool,
    prompt_name: Option<String>,
    prompt: Option<String>,
}

/// A document is a text, or an object that has one.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, or an object with a string `text`")]
enum Document {
    Text(String),
    Object { text: String },
}

impl Document {
    fn text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { text } => text,
        }
    }
}

/// Answers with the documents by their score, the best first. Scores are between 0 and 1, or sums of cosines in a model for late
/// interaction.
pub(super) async fn rerank(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response, ApiError> {
    let raw = body;
    let body: Body = input::parse(&raw)?;
    input::foreign(&raw, input::SCORES, exchange.model)?;
    served(exchange.app, body.model.as_deref())?;
    let documents: Vec<String> = body.documents.into_iter().map(Document::text).collect();
    check(&body.query, &documents, "documents")?;
    // The clients of this API expect long documents to be cut.
    let truncate = Some(body.truncate.unwrap_or(true));
    let prompt = prompt::of_scores(exchange.model, body.prompt_name, body.prompt)?;
    let passed = scores(&mut exchange, (&body.query, &documents), prompt, truncate).await?;
    let with_text = body.return_documents.unwrap_or(false);
    let result = |(index, score): (usize, f32)| {
        let score = if body.raw_scores { score } else { shown(exchange.model, score) };
        let mut result = json!({ "index": index, "relevance_score": score });
        if with_text {
            result["document"] = json!({ "text": documents[index] });
        }
        result
    };
    let most = body.top_n.unwrap_or(usize::MAX);
    let results: Vec<Value> = ranked(passed.rows).into_iter().take(most).map(result).collect();
    let usage = json!({ "prompt_tokens": passed.tokens, "total_tokens": passed.tokens });
    let meta = json!({ "billed_units": { "search_units": 1 }, "api_version": { "version": "1" } });
    let answer =
        json!({ "id": exchange.id, "model": exchange.app.name, "results": results, "usage": usage, "meta": meta });
    Ok(Json(answer).into_response())
}

/// Refuses an empty query, and a request without texts or with an empty one.
pub(super) fn check(query: &str, texts: &[String], param: &'static str) -> Result<(), ApiError> {
    let invalid = |message: String, param| Err(ApiError::new(Reason::InvalidInput, message).param(param));
    if query.is_empty() {
        return invalid("query is empty".to_owned(), "query");
    }
    match texts.iter().position(String::is_empty) {
        _ if texts.is_empty() => invalid(format!("{param} is empty; send at least one text"), param),
        Some(index) => invalid(format!("input {index} is empty"), param),
        None => Ok(()),
    }
}
