//! Pages of other origins: what a browser needs to be answered so that they may ask, if the worker was started so.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::args::Origin;

/// Headers of answers that a page may read beside the usual ones.
const READABLE: HeaderValue = HeaderValue::from_static(
    "x-request-id, retry-after, x-compute-type, x-compute-time, x-compute-characters, x-compute-tokens, x-total-time, \
     x-tokenization-time, x-queue-time, x-inference-time",
);

/// Seconds for which a browser may keep what it was answered. Chrome keeps it for no longer.
const KEPT: HeaderValue = HeaderValue::from_static("7200");

/// What the answer says about origins.
#[derive(Clone, Debug)]
pub(super) enum Allowed {
    /// No page of another origin may ask.
    Nothing,
    /// Some may, but not the one of this request.
    Others,
    /// This one, or every one.
    Origin(HeaderValue),
}

/// What the answer to a request with these headers says about origins.
pub(super) fn allowed(origins: &[Origin], headers: &HeaderMap) -> Allowed {
    if origins.is_empty() {
        return Allowed::Nothing;
    }
    if origins.iter().any(|origin| origin.as_str() == "*") {
        return Allowed::Origin(HeaderValue::from_static("*"));
    }
    let from = headers.get(header::ORIGIN);
    match from.filter(|from| origins.iter().any(|origin| origin.as_str().as_bytes() == from.as_bytes())) {
        Some(from) => Allowed::Origin(from.clone()),
        None => Allowed::Others,
    }
}

/// Whether a request with these headers may open a WebSocket: it is of no page, of a page of this worker, or of a page that may ask.
pub(super) fn may_connect(origins: &[Origin], headers: &HeaderMap) -> bool {
    let Some(from) = headers.get(header::ORIGIN) else { return true };
    let own = || {
        let (_, from) = from.to_str().ok()?.split_once("://")?;
        let host = headers.get(header::HOST)?.to_str().ok()?;
        Some(from.eq_ignore_ascii_case(host))
    };
    matches!(allowed(origins, headers), Allowed::Origin(_)) || own() == Some(true)
}

/// The answer to `OPTIONS`. A browser sends it before a request; without the headers about origins it refuses the page,
/// and says why.
pub(super) fn preflight(methods: &[&str], allowed: Allowed, asked: &HeaderMap) -> Response {
    let methods = format!("{}, OPTIONS", methods.join(", "));
    let methods = HeaderValue::from_str(&methods).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"));
    let mut response = (StatusCode::NO_CONTENT, Body::empty()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, methods.clone());
    if matches!(allowed, Allowed::Origin(_)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, KEPT);
        // OpenAI's client for pages sends headers of its own, whose names change between versions.
        if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
    readable(&mut response, allowed);
    response
}

/// Says which page may read this answer.
pub(super) fn readable(response: &mut Response, allowed: Allowed) {
    let headers = response.headers_mut();
    match allowed {
        Allowed::Nothing => return,
        Allowed::Others => {}
        Allowed::Origin(origin) => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
        }
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
