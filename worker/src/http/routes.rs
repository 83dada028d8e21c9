//! The table of routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use belfry_crds::contract::{LIVENESS_PATH, METRICS_PATH, READINESS_PATH};

use super::call::{answer, wrong_method};
use super::{openai, openapi, probes, rerank, tei, tokens};
use crate::endpoint::Endpoint;
use crate::engine::Output;
use crate::state::App;

/// A path, and what answers there.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The path, as axum writes it.
    pub path: &'static str,
    /// Its methods.
    pub methods: &'static [&'static str],
    pub(super) make: fn() -> MethodRouter<Arc<App>>,
}

const GET: &[&str] = &["GET", "HEAD"];
const POST: &[&str] = &["POST"];

const fn asks(path: &'static str, make: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { path, methods: POST, make }
}

const fn shows(path: &'static str, make: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { path, methods: GET, make }
}

/// Every route of the worker.
pub const ROUTES: &[Route] = &[
    asks("/v1/embeddings", || inference(Endpoint::Embeddings)),
    asks("/embeddings", || inference(Endpoint::Embeddings)),
    asks("/embed", || inference(Endpoint::Embed)),
    asks("/embed_all", || inference(Endpoint::EmbedAll)),
    asks("/embed_sparse", || inference(Endpoint::EmbedSparse)),
    asks("/rerank", || inference(Endpoint::Rerank)),
    asks("/v1/rerank", || inference(Endpoint::RerankV1)),
    asks("/v2/rerank", || inference(Endpoint::RerankV1)),
    asks("/predict", || inference(Endpoint::Predict)),
    asks("/similarity", || inference(Endpoint::Similarity)),
    Route { path: "/", methods: &["GET", "HEAD", "POST"], make: || post(main_task).get(probes::ready) },
    asks("/tokenize", || post(tokens::tokenize)),
    asks("/decode", || post(tokens::decode)),
    shows("/v1/models", || get(probes::models)),
    shows("/models", || get(probes::models_with_stats)),
    shows("/v1/models/{*id}", || get(probes::one_model)),
    shows("/info", || get(probes::info)),
    shows("/openapi.json", || get(openapi::document)),
    shows("/health", || get(probes::ready)),
    shows("/ping", || get(probes::ready)),
    shows(LIVENESS_PATH, || get(probes::alive)),
    shows(READINESS_PATH, || get(probes::ready)),
    shows(METRICS_PATH, || get(probes::metrics)),
];

/// The methods of a path; none if there is no such route.
pub(super) fn methods(path: &str) -> Option<&'static [&'static str]> {
    let fits = |route: &&Route| match route.path.split_once('{') {
        None => route.path == path,
        Some((start, _)) => path.strip_prefix(start).is_some_and(|id| !id.is_empty()),
    };
    ROUTES.iter().find(fits).map(|route| route.methods)
}

/// The inference route at a path.
pub(super) fn endpoint(app: &App, path: &str) -> Option<Endpoint> {
    match path {
        "/" => Some(main_endpoint(app)),
        "/embeddings" => Some(Endpoint::Embeddings),
        "/v2/rerank" => Some(Endpoint::RerankV1),
        _ => Endpoint::ALL.iter().copied().find(|endpoint| endpoint.path() == path),
    }
}

/// A route that counts as inference.
fn inference(endpoint: Endpoint) -> MethodRouter<Arc<App>> {
    let other = move |State(app): State<Arc<App>>| async move { wrong_method(&app, endpoint) };
    post(move |State(app): State<Arc<App>>, request| run(app, endpoint, request)).fallback(other)
}

async fn run(app: Arc<App>, endpoint: Endpoint, request: Request) -> Response {
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

/// What `POST /` means: what the model is for, as text-embeddings-inference and its clients have it.
fn main_endpoint(app: &App) -> Endpoint {
    let outputs = app.model().map(|model| model.outputs).unwrap_or_default();
    if outputs.has(Output::Score) {
        Endpoint::Rerank
    } else if outputs.has(Output::Classes) {
        Endpoint::Predict
    } else if outputs.has(Output::Sparse) && !outputs.has(Output::Dense) {
        Endpoint::EmbedSparse
    } else {
        Endpoint::Embed
    }
}

async fn main_task(State(app): State<Arc<App>>, request: Request) -> Response {
    match main_endpoint(&app) {
        // Hugging Face's client asks for vectors and for similarities at the same address.
        endpoint @ Endpoint::Embed => answer(app, endpoint, request, tei::embed_or_compare).await,
        endpoint => run(app, endpoint, request).await,
    }
}
