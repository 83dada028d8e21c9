//! The table of routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use belfry_crds::contract::quality::QUALITY_PATH;
use belfry_crds::contract::status::{STATUS_PATH, STATUS_SOCKET_PATH};
use belfry_crds::contract::{LIVENESS_PATH, METRICS_PATH, READINESS_PATH};

use super::call::{answer, wrong_method};
use super::{docs, feedback, kserve, openai, openapi, probes, quality, rerank, sie, status, tei, tokens};
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
    handler: Handler,
}

/// What answers at a path.
#[derive(Clone, Copy, Debug)]
enum Handler {
    /// A route that counts as inference.
    Inference(Endpoint),
    /// The inference route that fits the model.
    Main,
    /// Any other.
    Other(fn() -> MethodRouter<Arc<App>>),
}

impl Route {
    pub(super) fn make(&self) -> MethodRouter<Arc<App>> {
        match self.handler {
            Handler::Inference(endpoint) => inference(endpoint),
            Handler::Main => post(main_task).get(status::root),
            Handler::Other(make) => make(),
        }
    }

    /// Whether a request for this path comes here.
    fn serves(&self, path: &str) -> bool {
        match self.path.split_once('{') {
            None => self.path == path,
            Some((start, _)) => path.strip_prefix(start).is_some_and(|name| !name.is_empty()),
        }
    }
}

const GET: &[&str] = &["GET", "HEAD"];
const POST: &[&str] = &["POST"];

const fn infers(path: &'static str, endpoint: Endpoint) -> Route {
    Route { path, methods: POST, handler: Handler::Inference(endpoint) }
}

const fn asks(path: &'static str, make: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { path, methods: POST, handler: Handler::Other(make) }
}

const fn shows(path: &'static str, make: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { path, methods: GET, handler: Handler::Other(make) }
}

/// Every route of the worker.
pub const ROUTES: &[Route] = &[
    infers("/v1/embeddings", Endpoint::Embeddings),
    infers("/embeddings", Endpoint::Embeddings),
    infers("/embed", Endpoint::Embed),
    infers("/embed_all", Endpoint::EmbedAll),
    infers("/embed_sparse", Endpoint::EmbedSparse),
    infers("/rerank", Endpoint::Rerank),
    infers("/v1/rerank", Endpoint::RerankV1),
    infers("/v2/rerank", Endpoint::RerankV1),
    infers("/predict", Endpoint::Predict),
    infers("/similarity", Endpoint::Similarity),
    infers("/v1/encode/{*model}", Endpoint::Encode),
    infers("/v1/score/{*model}", Endpoint::Score),
    Route { path: "/", methods: &["GET", "HEAD", "POST"], handler: Handler::Main },
    asks("/tokenize", || post(tokens::tokenize)),
    asks("/decode", || post(tokens::decode)),
    asks("/v1/feedback", || post(feedback::feedback)),
    shows("/v1/models", || get(probes::models)),
    shows("/models", || get(probes::models_with_stats)),
    shows("/v1/models/{*id}", || get(probes::one_model)),
    shows("/info", || get(probes::info)),
    shows("/openapi.json", || get(openapi::document)),
    shows(QUALITY_PATH, || get(quality::window)),
    shows(docs::PATH, || get(docs::page)),
    shows("/v2", || get(kserve::server)),
    shows(kserve::LIVE, || get(kserve::live)),
    shows(kserve::READY, || get(kserve::ready)),
    shows("/v2/models/{*model}", || get(kserve::model)),
    shows(STATUS_PATH, || get(status::snapshot)),
    shows(STATUS_SOCKET_PATH, || get(status::socket)),
    shows("/health", || get(probes::ready)),
    shows("/ping", || get(probes::ready)),
    shows(LIVENESS_PATH, || get(probes::alive)),
    shows(READINESS_PATH, || get(probes::ready)),
    shows(METRICS_PATH, || get(probes::metrics)),
];

fn at(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.serves(path))
}

/// The methods of a path; none if there is no such route.
pub(super) fn methods(path: &str) -> Option<&'static [&'static str]> {
    at(path).map(|route| route.methods)
}

/// The inference route at a path.
pub(super) fn endpoint(app: &App, path: &str) -> Option<Endpoint> {
    match at(path)?.handler {
        Handler::Inference(endpoint) => Some(endpoint),
        Handler::Main => Some(main_endpoint(app)),
        Handler::Other(_) => None,
    }
}

/// A route that counts as inference.
fn inference(endpoint: Endpoint) -> MethodRouter<Arc<App>> {
    let other =
        move |State(app): State<Arc<App>>, request: Request| async move { wrong_method(&app, endpoint, &request) };
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
        Endpoint::Encode => answer(app, endpoint, request, sie::encode).await,
        Endpoint::Score => answer(app, endpoint, request, sie::score).await,
    }
}

/// What `POST /` means: what the model is for, as text-embeddings-inference and its clients have it.
fn main_endpoint(app: &App) -> Endpoint {
    let outputs = app.model().map(|model| model.outputs).unwrap_or_default();
    if outputs.has(Output::Score) {
        Endpoint::Rerank
    } else if outputs.has(Output::Classes) || outputs.has(Output::TokenClasses) {
        Endpoint::Predict
    } else if outputs.has(Output::Sparse) && !outputs.has(Output::Dense) {
        Endpoint::EmbedSparse
    } else if outputs.has(Output::MultiVector) && !outputs.has(Output::Dense) {
        Endpoint::EmbedAll
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
