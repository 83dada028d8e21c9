//! A page to try the API with. It is made from `/openapi.json` in the browser.

use std::sync::LazyLock;

use axum::response::Response;

use super::page;

/// The page. A test looks into it.
pub const PAGE: &str = include_str!("docs.html");

/// Its path. It needs no key: it shows nothing of the model, and has a field for the key.
pub(super) const PATH: &str = "/docs";

static POLICY: LazyLock<String> = LazyLock::new(|| page::policy(PAGE));

/// `GET /docs`
pub(super) async fn page() -> Response {
    page::answer(PAGE, &POLICY)
}
