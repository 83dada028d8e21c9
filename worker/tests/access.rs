//! Who may ask: API keys, pages of other origins, and how long a caller waits.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use belfry_worker::endpoint::Endpoint;
use belfry_worker::http::{Access, ROUTES, guarded};
use client::{OPENAI, TEI, error_in, fails, path_of, path_to, post, send};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{Fake, Next, args};
use tower::ServiceExt;

fn behind(fake: &Fake, flags: &str) -> Router {
    let access = Access::read(&args(&format!("--model /models/tiny {flags}")).access).unwrap();
    guarded(Arc::clone(&fake.app), access)
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn options(path: &str, origin: &str) -> Request<Body> {
    Request::options(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-stainless-lang")
        .body(Body::empty())
        .unwrap()
}

const KEYS: &str = "--api-keys sk-first,sk-second";

#[tokio::test]
async fn every_route_but_probes_and_metrics_needs_a_key() {
    let fake = Fake::ready("");
    let router = behind(&fake, KEYS);
    let open = ["/healthz", "/readyz", "/metrics", "/health", "/ping", "/v2/health/live", "/v2/health/ready", "/docs"];
    for route in ROUTES {
        let path = path_of(route.path);
        for method in route.methods {
            let request = || Request::builder().method(*method).uri(&path).body(Body::empty()).unwrap();
            let (status, head, _) = ask(&router, request()).await;
            assert_eq!(status != StatusCode::UNAUTHORIZED, open.contains(&path.as_str()), "{method} {path}: {status}");
            if status == StatusCode::UNAUTHORIZED {
                assert_eq!(head["www-authenticate"], "Bearer", "{path}");
            }
            for key in ["sk-first", "sk-second"] {
                let (status, ..) = ask(&router, with(request(), "authorization", &format!("Bearer {key}"))).await;
                assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            }
        }
    }
    let (status, ..) =
        ask(&router, with(post(OPENAI, r#"{"input": "w1"}"#), "authorization", "Bearer sk-second")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ask(&router, Request::get("/nowhere").body(Body::empty()).unwrap()).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_the_shape_of_its_route_and_shown_nowhere() {
    let fake = Fake::ready("");
    let router = behind(&fake, KEYS);
    for endpoint in Endpoint::ALL {
        let request = with(post(&path_to(*endpoint), "{}"), "authorization", "Bearer sk-hunter2");
        let (status, _, body) = ask(&router, request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let (shape, error) = error_in(&body);
        let code = error["code"].as_str().unwrap().to_ascii_lowercase();
        assert_eq!((code.as_str(), shape), ("unauthorized", endpoint.error_shape()), "{body}");
        assert!(!body.to_string().contains("hunter2") && !body.to_string().contains("sk-first"), "{body}");
        let path = endpoint.path();
        let series = format!(r#"inference_requests_total{{endpoint="{path}",reason="unauthorized",status="401"}}"#);
        assert_eq!(fake.metric(&series), Some(1.0), "{series}");
    }
    for path in ["/tokenize", "/"] {
        assert!(ask(&router, post(path, "{}")).await.2["error"].is_string(), "{path}");
    }
    assert!(ask(&router, Request::get("/v1/models").body(Body::empty()).unwrap()).await.2["error"]["code"].is_string());
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_only_by_choice() {
    let fake = Fake::ready("");
    let (status, head, _) = ask(&behind(&fake, ""), options(OPENAI, "https://a.example")).await;
    assert_eq!((status, &head["allow"]), (StatusCode::NO_CONTENT, &"POST, OPTIONS".parse().unwrap()));
    assert!(!head.contains_key("access-control-allow-origin"));

    // A browser sends no key before a request.
    let router = behind(&fake, &format!("--cors-allow-origin https://a.example,http://localhost:3000 {KEYS}"));
    for origin in ["https://a.example", "http://localhost:3000"] {
        let (status, head, _) = ask(&router, options(OPENAI, origin)).await;
        assert_eq!((status, head["access-control-allow-origin"].to_str().unwrap()), (StatusCode::NO_CONTENT, origin));
        assert_eq!(head["access-control-allow-methods"], "POST, OPTIONS");
        assert_eq!(head["access-control-allow-headers"], "authorization,content-type,x-stainless-lang");
        assert_eq!(head["vary"], "origin");
        let keyed = with(post(OPENAI, r#"{"input": "w1"}"#), "authorization", "Bearer sk-first");
        let (status, head, _) = ask(&router, with(keyed, "origin", origin)).await;
        assert_eq!((status, head["access-control-allow-origin"].to_str().unwrap()), (StatusCode::OK, origin));
        assert!(head["access-control-expose-headers"].to_str().unwrap().contains("retry-after"));
        // A page must be able to read why it was refused.
        let (status, head, _) = ask(&router, with(post(OPENAI, "{}"), "origin", origin)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(head.contains_key("access-control-allow-origin"));
    }
    let (_, head, _) = ask(&router, options(OPENAI, "https://b.example")).await;
    assert!(!head.contains_key("access-control-allow-origin") && !head.contains_key("access-control-allow-methods"));

    let router = behind(&fake, "--cors-allow-origin *");
    let (_, head, _) = ask(&router, options("/v1/models/tiny", "https://b.example")).await;
    assert_eq!(
        (&head["access-control-allow-origin"], &head["allow"]),
        (&"*".parse().unwrap(), &"GET, HEAD, OPTIONS".parse().unwrap())
    );
    assert_eq!(ask(&router, options("/nowhere", "https://b.example")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_caller_says_how_long_it_waits_and_at_most_the_worker_s_limit_counts() {
    let fake = Fake::held("--request-timeout-ms 300");
    for (header, milliseconds) in [("40", 40), ("99999999", 300)] {
        let began = std::time::Instant::now();
        let request = with(post(OPENAI, r#"{"input": "w1"}"#), "x-request-timeout-ms", header);
        let (status, _, body) = send(&fake, request).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::GATEWAY_TIMEOUT, &json!("deadline_exceeded")));
        assert!(body.to_string().contains(&format!("within {milliseconds} ms")), "{body}");
        assert!(began.elapsed().as_millis() >= milliseconds);
    }
    fake.permit(Next::Answer);
    fake.permit(Next::Answer);
    for wrong in ["0", "-1", "1.5", "soon", ""] {
        let fake = Fake::ready("");
        let request = with(post(TEI, r#"{"inputs": "w1"}"#), "x-request-timeout-ms", wrong);
        let (_, message) = fails(&fake, request, 400, "invalid_input").await;
        assert_eq!(message, "the header x-request-timeout-ms is not a whole number of milliseconds from 1 on");
    }
}
