//! `POST /v1/feedback`: what a caller says about an answer. It is counted by its rating, and nothing of it is kept. It is no
//! inference: it needs no model, and counts in no metric of traffic.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::input;
use super::request_id;
use crate::admit;
use crate::endpoint::Endpoint;
use crate::error::{ApiError, Reason};
use crate::state::App;

#[derive(Deserialize)]
struct Body {
    request_id: String,
    rating: Rating,
    /// Read past, and never kept or logged: it may quote the text.
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

/// The values of the label `rating`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, IntoStaticStr)]
#[serde(try_from = "String", into = "&'static str")]
#[strum(serialize_all = "lowercase")]
enum Rating {
    Positive,
    Neutral,
    Negative,
}

impl TryFrom<String> for Rating {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "positive" => Ok(Self::Positive),
            "neutral" => Ok(Self::Neutral),
            "negative" => Ok(Self::Negative),
            _ => Err("expected `positive`, `neutral` or `negative`"),
        }
    }
}

#[derive(Serialize)]
struct Counted {
    request_id: String,
    rating: Rating,
}

/// Counts a rating.
pub(super) async fn feedback(State(app): State<Arc<App>>, request: Request) -> Response {
    match counted(&app, request).await {
        Ok(counted) => Json(counted).into_response(),
        Err(error) => error.into_response(Endpoint::Embeddings),
    }
}

async fn counted(app: &App, request: Request) -> Result<Counted, ApiError> {
    let (head, body) = request.into_parts();
    let body = admit::body(app, Endpoint::Embeddings, (&head, body)).await?;
    let Body { request_id, rating, .. } = input::parse(&body.bytes)?;
    if !request_id::is_valid(&request_id) {
        let message = "request_id is not an id of a request; send the x-request-id of the answer that is rated";
        return Err(ApiError::new(Reason::InvalidInput, message).param("request_id"));
    }
    let label: &'static str = rating.into();
    app.metrics.feedback.with_label_values(&[label]).inc();
    // The line has the id of the request that is rated, so that both are found together.
    if app.logged.picks() {
        tracing::info!(request_id, rating = label, "Answer rated");
    }
    Ok(Counted { request_id, rating })
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::contract::metrics::RATINGS;

    #[test]
    fn ratings_are_those_of_the_contract() {
        for rating in RATINGS {
            let read = Rating::try_from((*rating).to_owned()).unwrap();
            assert_eq!(<&str>::from(read), *rating);
        }
        assert!(Rating::try_from("Positive".to_owned()).is_err());
    }
}
