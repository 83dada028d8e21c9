//! Health and metadata of the Open Inference Protocol, which KServe, Triton and their tools ask for. Requests to a model come by
//! the other routes: the protocol's own are about tensors, and there is no `/infer` here.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::sie;
use crate::engine::Output;
use crate::lifecycle;
use crate::state::{App, Model};

/// Paths that need no key, as those of other probes.
pub(super) const LIVE: &str = "/v2/health/live";
/// See [`LIVE`].
pub(super) const READY: &str = "/v2/health/ready";

/// `GET /v2/health/live`: false only if a restart would help.
pub(super) async fn live(State(app): State<Arc<App>>) -> Response {
    let live = app.lifecycle.stuck(app.inbox.busy(), Instant::now()).is_none();
    (status(live), axum::Json(json!({ "live": live }))).into_response()
}

/// `GET /v2/health/ready`: whether the worker takes requests.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = is_ready(&app);
    (status(ready), axum::Json(json!({ "ready": ready }))).into_response()
}

/// `GET /v2`: what this server is.
pub(super) async fn server() -> Response {
    axum::Json(json!({ "name": "belfry-worker", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
        .into_response()
}

/// `GET /v2/models/{model}`, and `GET /v2/models/{model}/ready`. A name may have slashes, so one handler serves both.
pub(super) async fn model(State(app): State<Arc<App>>, Path(path): Path<String>) -> Response {
    if path == app.name {
        return match app.model() {
            Some(model) => axum::Json(metadata(&app.name, model)).into_response(),
            None => failed(StatusCode::SERVICE_UNAVAILABLE, "the model is still being loaded; retry later"),
        };
    }
    if path.strip_suffix("/ready") == Some(app.name.as_str()) {
        let ready = is_ready(&app);
        return (status(ready), axum::Json(json!({ "name": app.name, "ready": ready }))).into_response();
    }
    failed(StatusCode::NOT_FOUND, &format!("this worker serves {}, and no other model", app.name))
}

fn is_ready(app: &App) -> bool {
    app.lifecycle.state() == lifecycle::State::Ready
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The protocol's error.
fn failed(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "error": message }))).into_response()
}

/// What goes into a model and what comes out; -1 stands for any number, which comes first and counts texts.
fn metadata(name: &str, model: &Model) -> Value {
    let scores = model.outputs.has(Output::Score);
    let inputs = if scores { vec![input("query", 1), input("texts", -1)] } else { vec![input("text", -1)] };
    let outputs: Vec<Value> = model.outputs.iter().map(|output| described(model, output)).collect();
    // No version can be asked for: there is one, which /info describes.
    json!({ "name": name, "versions": [], "platform": "pytorch_safetensors", "inputs": inputs, "outputs": outputs })
}

fn input(name: &str, texts: i64) -> Value {
    json!({ "name": name, "datatype": "BYTES", "shape": [texts] })
}

fn described(model: &Model, output: Output) -> Value {
    let dimensions = model.presets.dimensions.unwrap_or(model.dimensions);
    let shape = match output {
        Output::Dense => json!([-1, dimensions]),
        Output::Sparse => json!([-1, model.tokenizer.vocabulary()]),
        Output::MultiVector => json!([-1, -1, model.dimensions]),
        Output::Score => json!([-1, 1]),
        Output::Classes => json!([-1, model.presets.labels.len()]),
        Output::TokenClasses => json!([-1, -1, model.presets.labels.len()]),
    };
    let name = sie::name(output).unwrap_or(output.name());
    json!({ "name": name, "datatype": "FP32", "shape": shape })
}
