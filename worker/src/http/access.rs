//! Who may ask: API keys, and pages of other origins. Probes, metrics and the page to try the API are open to everybody.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use belfry_crds::contract::status::STATUS_SOCKET_PATH;
use belfry_crds::contract::{LIVENESS_PATH, METRICS_PATH, READINESS_PATH};
use sha2::{Digest, Sha256};

use super::request_id::RequestId;
use super::{cors, docs, kserve, page, routes};
use crate::args::{AccessArgs, Origin, Secret};
use crate::endpoint::Endpoint;
use crate::error::{ApiError, Reason, body};
use crate::server::Peer;
use crate::state::App;

/// Paths that need no key.
const OPEN: &[&str] =
    &[LIVENESS_PATH, READINESS_PATH, METRICS_PATH, kserve::LIVE, kserve::READY, "/health", "/ping", docs::PATH];

/// Who may ask; by default everybody, but no page of another origin.
#[derive(Clone, Debug, Default)]
pub struct Access {
    keys: Keys,
    origins: Vec<Origin>,
}

impl Access {
    /// Reads the keys. An error names its source, and shows no key.
    pub fn read(args: &AccessArgs) -> Result<Self, String> {
        Ok(Self { keys: Keys::new(&args.keys()?), origins: args.cors_allow_origin.clone() })
    }
}

/// Where the audit log stands among the logs: who was refused, and which model was loaded and unloaded.
pub(crate) const AUDIT: &str = "belfry_worker::audit";

/// The key that a request came with, as the logs name it: the first digits of its SHA-256. Nothing leads from them to the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyId(pub(super) String);

/// Keys of callers, as hashes: all of one length, so that a comparison takes the same time for every key.
#[derive(Clone, Debug, Default)]
struct Keys(Vec<[u8; 32]>);

impl Keys {
    fn new(keys: &[Secret]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key.reveal()).into()).collect())
    }

    /// Compares with every key to its end, so that the time does not say which one was close.
    fn hold(&self, given: &[u8]) -> Option<KeyId> {
        let given: [u8; 32] = Sha256::digest(given).into();
        let is_held = self.0.iter().fold(false, |found, key| {
            let differs = key.iter().zip(given).fold(0, |differs, (one, two)| differs | (one ^ two));
            found | (black_box(differs) == 0)
        });
        is_held.then(|| KeyId(given.iter().take(4).map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Refuses a request without one of the keys, if there are any. What came is shown nowhere: it may be the key of another server.
    fn check(&self, headers: &HeaderMap) -> Result<Option<KeyId>, &'static str> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return Err("this worker needs an API key; send it as Authorization: Bearer KEY");
        };
        match given.as_bytes().split_at_checked(b"Bearer ".len()) {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
                let held = self.hold(key.trim_ascii());
                held.map(Some).ok_or("the API key is none of this worker's keys")
            }
            _ => Err("the header Authorization has another scheme; send Authorization: Bearer KEY"),
        }
    }
}

/// Answers what a browser asks before a request, refuses callers without a key, and lets pages read the answer.
pub(super) async fn layer(
    State((app, access)): State<(Arc<App>, Arc<Access>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let allowed = cors::allowed(&access.origins, request.headers());
    let methods = routes::methods(path);
    if let Some(methods) = methods.filter(|_| request.method() == Method::OPTIONS) {
        return cors::preflight(methods, allowed, request.headers());
    }
    // A browser lets a page of every origin open a WebSocket, and leaves the decision to the server.
    if path == STATUS_SOCKET_PATH && !cors::may_connect(&access.origins, request.headers()) {
        let message = "pages of this origin may not watch this worker; name the origin in --cors-allow-origin";
        return body(StatusCode::FORBIDDEN, "origin_not_allowed", message, None);
    }
    let mut response = match access.keys.check(request.headers()) {
        Err(message) if !OPEN.contains(&path) && !is_page(&request) => refused(&app, &request, message),
        known => {
            if let Ok(Some(key)) = known {
                request.extensions_mut().insert(key);
            }
            next.run(request).await
        }
    };
    cors::readable(&mut response, allowed);
    response
}

/// Whether a browser opens the page at `/`, which shows nothing before it has a key.
fn is_page(request: &Request) -> bool {
    request.uri().path() == "/" && page::is_wanted(request.method(), request.headers())
}

fn refused(app: &App, request: &Request, message: &str) -> Response {
    let (path, reason) = (request.uri().path(), Reason::Unauthorized);
    let endpoint = routes::endpoint(app, path);
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default();
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.to_string());
    // A path of a caller may be anything, a key among others.
    let asked = endpoint.map_or("another route", Endpoint::path);
    let trace_id = belfry_traces::trace_id(request.headers());
    tracing::warn!(target: AUDIT, request_id, trace_id, peer, endpoint = asked, status = "401", why = message, "Authentication refused");
    if let Some(endpoint) = endpoint {
        app.metrics.answered(endpoint, (reason.status(endpoint).as_str(), reason.code()), Duration::ZERO, None);
    }
    let flat = ["/tokenize", "/decode", "/info"].contains(&path);
    let shape = endpoint.unwrap_or(if flat { Endpoint::Embed } else { Endpoint::Embeddings });
    let mut response = ApiError::new(reason, message).into_response(shape);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_whole_and_alone() {
        let keys = Keys::new(&[Secret::from("one".to_owned()), Secret::from("two".to_owned())]);
        let check = |value: &'static str| {
            keys.check(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])).is_ok()
        };
        for good in ["Bearer one", "bearer two", "Bearer  two"] {
            assert!(check(good), "{good}");
        }
        for bad in ["Bearer on", "Bearer onee", "Bearer one two", "one", "Basic one", "Bearer", "Bearer ", ""] {
            assert!(!check(bad), "{bad}");
        }
        assert!(keys.check(&HeaderMap::new()).is_err());
        assert!(Keys::default().check(&HeaderMap::new()).is_ok());
    }
}
