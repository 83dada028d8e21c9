//! Pages for browsers: each is one file that loads nothing from elsewhere, and asks this worker alone.

use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// What a page may do: run its one script, use its one style, and ask this worker. The hashes are those of the page's own script
/// and style, so that no other runs.
pub(super) fn policy(page: &str) -> String {
    let (script, style) = (hash(page, "script"), hash(page, "style"));
    format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
}

/// The hash of what an element of a page holds, as a policy names it.
fn hash(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let inner = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map_or("", |(inner, _)| inner);
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inner)))
}

/// A page with its policy.
pub(super) fn answer(page: &'static str, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, page).into_response()
}

/// Whether a request comes from a browser that opens a page: it reads, and names HTML among what it takes. `*/*`, which other
/// clients send, names nothing.
pub(super) fn is_wanted(method: &Method, headers: &HeaderMap) -> bool {
    let names = |value: &str| value.split([',', ';']).any(|kind| kind.trim().eq_ignore_ascii_case("text/html"));
    let accepts = headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(names));
    (method == Method::GET || method == Method::HEAD) && accepts
}
