//! The routes, and the path of an inference request: admit → tokenize → queue → batch → forward → respond.

mod call;
pub mod input;
mod openai;
mod pass;
pub mod probes;
mod prompt;
pub mod request_id;
mod rerank;
pub mod score;
mod tei;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use belfry_crds::contract::{LIVENESS_PATH, METRICS_PATH, READINESS_PATH};

use self::call::{answer, wrong_method};
use crate::endpoint::Endpoint;
use crate::engine::Output;
use crate::error::{Reason, body};
use crate::state::App;

/// All routes of the worker.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/embeddings", inference(Endpoint::Embeddings))
        .route("/embeddings", inference(Endpoint::Embeddings))
        .route("/embed", inference(Endpoint::Embed))
        .route("/embed_all", inference(Endpoint::EmbedAll))
        .route("/embed_sparse", inference(Endpoint::EmbedSparse))
        .route("/rerank", inference(Endpoint::Rerank))
        .route("/v1/rerank", inference(Endpoint::RerankV1))
        .route("/v2/rerank", inference(Endpoint::RerankV1))
        .route("/predict", inference(Endpoint::Predict))
        .route("/similarity", inference(Endpoint::Similarity))
        .route("/", post(main_task).get(probes::ready))
        .route("/tokenize", post(tokens::tokenize))
        .route("/decode", post(tokens::decode))
        .route("/v1/models", get(probes::models))
        .route("/v1/models/{*id}", get(probes::one_model))
        .route("/info", get(probes::info))
        .route("/health", get(probes::ready))
        .route("/ping", get(probes::ready))
        .route(LIVENESS_PATH, get(probes::alive))
        .route(READINESS_PATH, get(probes::ready))
        .route(METRICS_PATH, get(probes::metrics))
        .fallback(async || body(StatusCode::NOT_FOUND, "not_found", "there is no such route", None))
        .method_not_allowed_fallback(async || {
            let code = Reason::MethodNotAllowed.code();
            body(StatusCode::METHOD_NOT_ALLOWED, code, "this route takes another method", None)
        })
        .layer(axum::middleware::from_fn(request_id::layer))
        .with_state(app)
}

/// A route that counts as inference.
fn inference(endpoint: Endpoint) -> MethodRouter<Arc<App>> {
    let other = move |State(app): State<Arc<App>>| async move { wrong_method(&app, endpoint) };
    post(move |State(app): State<Arc<App>>, request| run(app, endpoint, request)).fallback(other)
}

async fn run(app: Arc<App>, endpoint: Endpoint, request: Request) -> axum::response::Response {
    match endpoint {
        Endpoint::Embeddings => answer(app, endpoint, request, openai::embeddings).await,
        Endpoint::Embed => answer(app, endpoint, request, tei::embed).await,
        Endpoint::EmbedAll => answer(app, endpoint, request, tei::embed_all).await,
        Endpoint::EmbedSparse => answer(app, endpoint, request, tei::embed_sparse).await,
        Endpoint::Rerank => answer(app, endpoint, request, tei::rerank).await,
        Endpoint::RerankV1 => answer(app, endpoint, request, rerank::rerank).await,
        Endpoint::Predict => answer(app, endpoint, request, tei::predict).await,
        Endpoint::Similarity => answer(app, endpoint, request, tei::similarity).await,
    }
}

/// `POST /`: what the model is for, as text-embeddings-inference and its clients have it.
async fn main_task(State(app): State<Arc<App>>, request: Request) -> axum::response::Response {
    let outputs = app.model().map(|model| model.outputs).unwrap_or_default();
    let endpoint = if outputs.has(Output::Score) {
        Endpoint::Rerank
    } else if outputs.has(Output::Classes) {
        Endpoint::Predict
    } else if outputs.has(Output::Sparse) {
        Endpoint::EmbedSparse
    } else {
        Endpoint::Embed
    };
    run(app, endpoint, request).await
}
