//! Probes, metrics, and information about the model. Nothing here waits for the model.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::engine::Output;
use crate::error::{Reason, body};
use crate::lifecycle;
use crate::metrics::Format;
use crate::state::{App, Model};

/// Liveness: fails only if a restart would help.
pub async fn alive(State(app): State<Arc<App>>) -> Response {
    match app.lifecycle.stuck(app.inbox.busy(), Instant::now()) {
        None => axum::Json(json!({ "state": "alive" })).into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({ "state": "stuck", "message": why }))).into_response()
        }
    }
}

/// Readiness: true once the model is warm, and false once the worker shuts down. A worker with a full queue is still
/// ready.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let state = app.lifecycle.state();
    let status = if state == lifecycle::State::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "state": state.word(), "model": app.name, "queue_depth": app.inbox.depth() });
    (status, axum::Json(body)).into_response()
}

/// The metrics, for Prometheus: OpenMetrics for who asks for it, and else the older text.
pub async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.measure();
    match app.metrics.render(Format::of(&headers)) {
        Ok((kind, text)) => ([(header::CONTENT_TYPE, kind), (header::VARY, "accept")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// OpenAI's list of models: the served model, once it is loaded.
pub async fn models(State(app): State<Arc<App>>) -> Response {
    let model = json!({ "id": app.name, "object": "model", "created": 0, "owned_by": "belfry" });
    let data = app.model().map(|_| model);
    axum::Json(json!({ "object": "list", "data": data.into_iter().collect::<Vec<_>>() })).into_response()
}

/// The same list at `/models`, as infinity's client reads it: it takes no other owner than infinity's, and wants numbers of
/// the queue.
pub async fn models_with_stats(State(app): State<Arc<App>>) -> Response {
    let (depth, capacity) = (app.inbox.depth(), app.limits.queue_capacity);
    let stats = json!({
        "queue_fraction": depth as f64 / capacity.max(1) as f64,
        "queue_absolute": depth,
        "results_pending": app.metrics.active_requests.get(),
        "batch_size": app.limits.max_batch_size,
    });
    let shown = |model: &Model| {
        // The document of the API names what a route needs by these words.
        let late = model.presets.max_sim.map(|_| "late-interaction");
        let outputs: Vec<_> = model.outputs.iter().map(Output::name).chain(late).collect();
        json!({ "id": app.name, "object": "model", "created": 0, "backend": "torch", "capabilities": outputs, "stats": stats })
    };
    let data: Vec<_> = app.model().map(shown).into_iter().collect();
    axum::Json(json!({ "object": "list", "data": data })).into_response()
}

/// OpenAI's description of one model.
pub async fn one_model(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    if id == app.name && app.model().is_some() {
        return axum::Json(json!({ "id": app.name, "object": "model", "created": 0, "owned_by": "belfry" }))
            .into_response();
    }
    let message = format!("this worker serves {}, and no other model", app.name);
    body(StatusCode::NOT_FOUND, Reason::ModelNotFound.code(), &message, Some("model"))
}

/// The model and the limits of this worker.
pub async fn info(State(app): State<Arc<App>>) -> Response {
    let model = app.model();
    axum::Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": app.lifecycle.state().word(),
        "served_model_name": app.name,
        "model": model.map(|model| &model.about),
        // The names of text-embeddings-inference.
        "model_id": app.name,
        "model_sha": model.map(|model| &model.about.digest),
        "model_dtype": model.map(|model| &model.about.dtype),
        "model_type": model.map(kind),
        "max_concurrent_requests": app.limits.queue_capacity,
        "tokenization_workers": app.tokenizing.most(),
        "dimensions": model.map(|model| model.presets.dimensions.unwrap_or(model.dimensions)),
        "normalized": model.map(|model| model.presets.normalize),
        "similarity": model.map(|model| &model.presets.similarity),
        "prompts": model.map(|model| &model.presets.prompts),
        "default_prompt_name": model.map(|model| &model.presets.default_prompt),
        "max_input_length": model.map(|model| model.tokenizer.max_tokens()),
        "max_batch_tokens": app.limits.max_batch_tokens,
        "max_batch_size": app.limits.max_batch_size,
        "max_client_batch_size": app.limits.max_client_batch_size,
        "auto_truncate": app.limits.auto_truncate,
        "queue_capacity": app.limits.queue_capacity,
        "request_timeout_ms": app.limits.request_timeout_ms,
    }))
    .into_response()
}

/// What the model is for, as text-embeddings-inference writes it.
fn kind(model: &Model) -> serde_json::Value {
    let labels = &model.presets.labels;
    let id2label: serde_json::Map<_, _> = labels.iter().enumerate().map(|(i, l)| (i.to_string(), json!(l))).collect();
    let label2id: serde_json::Map<_, _> = labels.iter().enumerate().map(|(i, l)| (l.clone(), json!(i))).collect();
    let ids = json!({ "id2label": id2label, "label2id": label2id });
    if model.outputs.has(Output::Score) {
        json!({ "reranker": ids })
    } else if model.outputs.has(Output::Classes) {
        json!({ "classifier": ids })
    } else if model.outputs.has(Output::TokenClasses) {
        json!({ "token-classification": ids })
    } else if model.outputs.has(Output::Sparse) && !model.outputs.has(Output::Dense) {
        json!({ "embedding": { "pooling": "splade" } })
    } else if model.presets.max_sim.is_some() {
        json!({ "embedding": { "pooling": "late-interaction" } })
    } else {
        json!({ "embedding": { "pooling": model.presets.pooling } })
    }
}
