//! `/livez`, `/readyz`, `/metrics` and `/runbooks/` of the operator.

mod authentication;
mod runbooks;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;

use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::observe::Cache;
pub use authentication::Authenticator;

/// What the routes answer from.
pub struct Probes {
    /// Set once the cache holds what exists.
    pub is_ready: AtomicBool,
    /// What the watches know.
    pub cache: Arc<Cache>,
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
    /// The series about models.
    pub fleet: Arc<Fleet>,
    /// Who may read the metrics; `None` for everybody who reaches the port.
    pub authenticator: Option<Authenticator>,
}

/// The routes. `/livez` answers as long as the process can: whatever leaves the operator blind or
/// stuck ends the process instead.
pub fn router(probes: Arc<Probes>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/runbooks/", get(runbooks::index))
        .route("/runbooks/{alert}", get(runbooks::of_alert))
        .with_state(probes)
}

async fn readyz(State(probes): State<Arc<Probes>>) -> Response {
    if probes.is_ready.load(Ordering::Acquire) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the watches have not listed what exists yet\n").into_response()
    }
}

async fn metrics(State(probes): State<Arc<Probes>>, headers: HeaderMap) -> Response {
    if let Some(authenticator) = &probes.authenticator
        && let Err(refusal) = authenticator.check(&headers).await
    {
        return refusal.into_response();
    }
    probes.metrics.objects(probes.cache.sizes());
    match probes.metrics.expose() {
        Ok(own) => {
            let families = std::iter::once(own).chain(probes.fleet.families());
            let body = Body::from_stream(stream::iter(families.map(Ok::<_, Infallible>)));
            ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
