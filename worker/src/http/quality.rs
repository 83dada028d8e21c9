//! `GET /v1/quality`: the last hour's texts as counts, which is what a baseline is saved from, and how far they are from the
//! present baseline. It is no inference.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use belfry_crds::contract::quality::Captured;
use serde::Serialize;

use crate::admit;
use crate::endpoint::Endpoint;
use crate::server::Admission;
use crate::state::App;

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    captured: Captured,
    /// `null` where none is configured.
    baseline: Option<Baseline>,
    drift: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Baseline {
    state: &'static str,
    message: Option<String>,
}

/// The last hour's texts.
pub(super) async fn window(State(app): State<Arc<App>>) -> Response {
    let model = match admit::open(&app, Admission::Open) {
        Ok(model) => model,
        Err(error) => return error.into_response(Endpoint::Embeddings),
    };
    let now = Instant::now();
    let captured = app.quality.captured((&app.name, model), now);
    let baseline = app.quality.baseline().map(|(state, message)| Baseline { state, message });
    Json(Answer { captured, baseline, drift: app.quality.drift(now) }).into_response()
}
