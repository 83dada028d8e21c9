//! Requests to the router without a socket, and what every failed one must look like.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use belfry_worker::endpoint::{Endpoint, ErrorShape};
use belfry_worker::http::{ROUTES, router};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::Fake;

pub const OPENAI: &str = "/v1/embeddings";
pub const TEI: &str = "/embed";
pub const ENCODE: &str = "/v1/encode/tiny";
pub const SCORE: &str = "/v1/score/tiny";

pub fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// A path at which a route answers; where it has the name of a model, with the name of the fake one.
pub fn path_of(route: &str) -> String {
    route.split_once('{').map_or_else(|| route.to_owned(), |(start, _)| format!("{start}tiny"))
}

/// A path at which an endpoint answers.
pub fn path_to(endpoint: Endpoint) -> String {
    let own = endpoint.path();
    let found = ROUTES.iter().find(|route| route.path == own || route.path.starts_with(&format!("{own}/{{")));
    path_of(found.unwrap().path)
}

/// The code that an endpoint writes for a reason.
fn code_of(endpoint: Option<Endpoint>, code: &str) -> String {
    match (endpoint.map(Endpoint::error_shape), code) {
        (Some(ErrorShape::Detail), "invalid_json") => "INVALID_INPUT".to_owned(),
        (Some(ErrorShape::Detail), "draining") => "MODEL_LOADING".to_owned(),
        (Some(ErrorShape::Detail), "inference_failed") => "INFERENCE_ERROR".to_owned(),
        (Some(ErrorShape::Detail), code) => code.to_ascii_uppercase(),
        (_, code) => code.to_owned(),
    }
}

/// The shape of the body of a failed request, and the object in it that has the code.
pub fn error_in(body: &Value) -> (ErrorShape, &Value) {
    if body["detail"].is_object() {
        (ErrorShape::Detail, &body["detail"])
    } else if body["error"].is_string() {
        (ErrorShape::Flat, body)
    } else {
        (ErrorShape::OpenAi, &body["error"])
    }
}

/// The message of a failed request.
pub fn message_in(body: &Value) -> &str {
    let (shape, error) = error_in(body);
    let message = if shape == ErrorShape::Flat { &error["error"] } else { &error["message"] };
    message.as_str().unwrap_or_else(|| panic!("no message: {body}"))
}

pub async fn send(fake: &Fake, request: Request<Body>) -> (StatusCode, Response<()>, Value) {
    let response = router(Arc::clone(&fake.app)).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into()));
    (head.status, Response::from_parts(head, ()), body)
}

/// Asserts that a request fails like this, with a body as its route's clients read it and a count in the metrics.
pub async fn fails(fake: &Fake, request: Request<Body>, status: u16, code: &str) -> (Response<()>, String) {
    let path = request.uri().path().to_owned();
    let (got, head, body) = send(fake, request).await;
    assert_eq!(got.as_u16(), status, "{body}");
    let endpoint = Endpoint::ALL.iter().copied().find(|endpoint| path_to(*endpoint) == path);
    let (shape, error) = error_in(&body);
    assert_eq!(error["code"].as_str(), Some(code_of(endpoint, code).as_str()), "{body}");
    assert!(error.as_object().unwrap().contains_key("param"), "{body}");
    match shape {
        ErrorShape::Flat => {
            let kind = body["error_type"].as_str().unwrap();
            assert!(["Validation", "Overloaded", "Unhealthy", "Backend"].contains(&kind), "{kind}");
        }
        ErrorShape::OpenAi => {
            let kind = error["type"].as_str().unwrap();
            assert!(["invalid_request_error", "rate_limit_error", "server_error"].contains(&kind), "{kind}");
        }
        ErrorShape::Detail => {}
    }
    if let Some(endpoint) = endpoint {
        assert_eq!(shape, endpoint.error_shape(), "{body}");
        let label = endpoint.path();
        let series = format!(r#"inference_requests_total{{endpoint="{label}",reason="{code}",status="{status}"}}"#);
        assert_eq!(fake.metric(&series), Some(1.0), "{series}");
        assert_eq!(fake.metric("inference_active_requests"), Some(0.0));
    }
    (head, message_in(&body).to_owned())
}
