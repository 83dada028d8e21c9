//! The routes, and the path of an inference request: admit → tokenize → queue → batch → forward → respond.

mod access;
mod call;
mod cors;
pub mod docs;
mod entities;
mod feedback;
pub mod input;
mod kserve;
mod openai;
pub mod openapi;
mod page;
mod pass;
pub mod probes;
mod prompt;
mod quality;
pub mod request_id;
mod rerank;
mod routes;
mod score;
mod scoring;
mod sie;
pub mod status;
mod tei;
mod tokens;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use belfry_crds::contract::METRICS_PATH;

pub(crate) use self::access::AUDIT;
pub use self::access::Access;
pub use self::routes::{ROUTES, Route};
use crate::error::{Reason, body};
use crate::state::App;

/// All routes of the worker, open to everybody who reaches it.
pub fn router(app: Arc<App>) -> Router {
    guarded(app, Access::default())
}

/// All routes of the worker, for those who have access.
pub fn guarded(app: Arc<App>, access: Access) -> Router {
    of(ROUTES.iter(), app, access)
}

/// The same without the metrics, which have a port of their own.
pub fn without_metrics(app: Arc<App>, access: Access) -> Router {
    of(ROUTES.iter().filter(|route| route.path != METRICS_PATH), app, access)
}

/// The metrics alone.
pub fn only_metrics(app: Arc<App>) -> Router {
    of(ROUTES.iter().filter(|route| route.path == METRICS_PATH), app, Access::default())
}

fn of<'a>(routes: impl Iterator<Item = &'a Route>, app: Arc<App>, access: Access) -> Router {
    let access = (Arc::clone(&app), Arc::new(access));
    routes
        .fold(Router::new(), |router, route| router.route(route.path, route.make()))
        .fallback(async || body(StatusCode::NOT_FOUND, "not_found", "there is no such route", None))
        .method_not_allowed_fallback(async || {
            let code = Reason::MethodNotAllowed.code();
            body(StatusCode::METHOD_NOT_ALLOWED, code, "this route takes another method", None)
        })
        .layer(from_fn_with_state(access, access::layer))
        .layer(from_fn(request_id::layer))
        .with_state(app)
}
