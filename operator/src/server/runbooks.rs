//! `/runbooks/`: what to do about an alert, without a way out of the cluster.

use std::collections::HashMap;

use axum::extract::{Path, Query};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use belfry_render::monitoring::runbook_pages::is_name;
use belfry_render::monitoring::{alerts, runbook_html};

/// The pages hold neither scripts nor anything from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The list of all pages.
pub(super) async fn index() -> Response {
    page(runbook_html::index())
}

/// The page of an alert; `?namespace=…&model=…` fills in the model.
pub(super) async fn of_alert(Path(name): Path<String>, Query(query): Query<HashMap<String, String>>) -> Response {
    let name = name.trim_end_matches(".md");
    let Some(alert) = alerts().iter().find(|alert| alert.name == name) else {
        return (StatusCode::NOT_FOUND, "there is no such runbook; /runbooks/ lists all\n").into_response();
    };
    let subject = query.get("namespace").zip(query.get("model"));
    if subject.is_some_and(|(namespace, model)| !is_name(namespace) || !is_name(model)) {
        let message =
            "namespace and model are names of objects of Kubernetes: take them from the labels of the alert\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    page(runbook_html::page(alert, subject.map(|(namespace, model)| (namespace.as_str(), model.as_str()))))
}

fn page(text: String) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))], Html(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(name: &str, query: &[(&str, &str)]) -> StatusCode {
        let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        of_alert(Path(name.to_owned()), Query(query)).await.status()
    }

    #[tokio::test]
    async fn every_alert_has_a_page_under_its_name_and_under_that_of_its_file() {
        for alert in alerts() {
            assert_eq!(status(alert.name, &[]).await, StatusCode::OK);
            assert_eq!(status(&alert.runbook_file(), &[("namespace", "a"), ("model", "b")]).await, StatusCode::OK);
        }
        assert_eq!(status("Nothing", &[]).await, StatusCode::NOT_FOUND);
        let hostile = [("namespace", "a"), ("model", "$(reboot)")];
        assert_eq!(status("InferenceModelDown", &hostile).await, StatusCode::BAD_REQUEST);
    }
}
