//! Requests to the router without a socket, and what every failed one must look like.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use belfry_worker::endpoint::Endpoint;
use belfry_worker::http::router;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::Fake;

pub const OPENAI: &str = "/v1/embeddings";
pub const TEI: &str = "/embed";

pub fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

pub async fn send(fake: &Fake, request: Request<Body>) -> (StatusCode, Response<()>, Value) {
    let response = router(Arc::clone(&fake.app)).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into()));
    (head.status, Response::from_parts(head, ()), body)
}

/// Asserts that a request fails like this, with a body as OpenAI shapes it and a count in the metrics.
pub async fn fails(fake: &Fake, request: Request<Body>, status: u16, code: &str) -> (Response<()>, String) {
    let path = request.uri().path().to_owned();
    let (got, head, body) = send(fake, request).await;
    assert_eq!(got.as_u16(), status, "{body}");
    let flat = body["error"].is_string();
    let error = if flat { &body } else { &body["error"] };
    assert_eq!(error["code"].as_str(), Some(code), "{body}");
    assert!(error.as_object().unwrap().contains_key("param"), "{body}");
    if flat {
        let kind = body["error_type"].as_str().unwrap();
        assert!(["Validation", "Overloaded", "Unhealthy", "Backend"].contains(&kind), "{kind}");
    } else {
        let kind = error["type"].as_str().unwrap();
        assert!(["invalid_request_error", "rate_limit_error", "server_error"].contains(&kind), "{kind}");
    }
    if let Some(endpoint) = Endpoint::ALL.iter().find(|endpoint| endpoint.path() == path) {
        assert_eq!(flat, !endpoint.is_openai(), "{body}");
        let series = format!(r#"inference_requests_total{{endpoint="{path}",reason="{code}",status="{status}"}}"#);
        assert_eq!(fake.metric(&series), Some(1.0), "{series}");
        assert_eq!(fake.metric("inference_active_requests"), Some(0.0));
    }
    let message = if flat { &body["error"] } else { &error["message"] };
    (head, message.as_str().unwrap().to_owned())
}
