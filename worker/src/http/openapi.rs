//! The description of the routes for tools, as `OpenAPI` has it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The document. A test compares it with the routes.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
