//! An id for each request: the caller's `x-request-id` if it is valid, else a new one. The id is in the response and in
//! the log, never in a metric.
//!
//! Written by hand, because tower-http accepts any id that a caller sends, however long, and its own ids need the uuid
//! crate.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is accepted from a caller.
const LENGTH_LIMIT: usize = 128;

/// The id of a request, stored as an extension of the request.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Sets the id of the request and of its response.
pub async fn layer(mut request: Request, next: Next) -> Response {
    let id = from_caller(request.headers()).unwrap_or_else(new_id);
    let header = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

fn from_caller(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    is_valid(id).then(|| id.to_owned())
}

/// Whether this can be the id of a request: 1 to 128 visible ASCII characters.
pub(super) fn is_valid(id: &str) -> bool {
    (1..=LENGTH_LIMIT).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A new id: a counter, hashed with a secret of the process. It is unique in this process, and very likely among all
/// processes.
fn new_id() -> String {
    static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", SECRET.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_id_is_accepted() {
        let read = |id: &str| from_caller(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(id).unwrap())]));
        assert_eq!(read("abc-1"), Some("abc-1".to_owned()));
        assert_eq!(read("with space"), None);
        assert_eq!(read(&"x".repeat(129)), None);
        assert_ne!(new_id(), new_id());
    }
}
