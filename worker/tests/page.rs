//! The page of the live status at `/`: to whom it is given, and what its script computes from two snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "support/page.rs"]
mod page;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::http::status::PAGE;
use belfry_worker::http::{Access, guarded};
use client::{post, send};
use serde_json::{Value, json};
use support::{Fake, args};
use tower::ServiceExt;

/// What browsers send when they open an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn root(accept: &str) -> Request<Body> {
    Request::get("/").header("accept", accept).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_browser_gets_the_page_and_others_what_they_got_before() {
    for fake in [Fake::loading(), Fake::ready("")] {
        let (status, head, body) = send(&fake, root(BROWSER)).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, Some(PAGE)));
        page::has_policy(PAGE, &head);
        assert_eq!(head.headers()["vary"], "accept", "a cache must not give it to others");
    }
    let fake = Fake::ready("");
    for accept in ["*/*", "application/json", "text/htmlx", ""] {
        let (status, _, body) = send(&fake, root(accept)).await;
        assert_eq!((status, body["state"].as_str()), (StatusCode::OK, Some("ready")), "{accept}");
    }
    let mut question = post("/", r#"{"inputs": "w1"}"#);
    question.headers_mut().insert("accept", BROWSER.parse().unwrap());
    assert!(send(&fake, question).await.2.is_array(), "a question is answered");
}

#[tokio::test]
async fn the_page_needs_no_key_and_what_it_shows_does() {
    let fake = Fake::ready("");
    let access = Access::read(&args("--model /models/tiny --api-keys sk-one").access).unwrap();
    let router = guarded(Arc::clone(&fake.app), access);
    let ask = async |request: Request<Body>| router.clone().oneshot(request).await.unwrap().status();
    assert_eq!(ask(root(BROWSER)).await, StatusCode::OK);
    assert_eq!(ask(root("*/*")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        ask(Request::get("/status").header("accept", BROWSER).body(Body::empty()).unwrap()).await,
        StatusCode::UNAUTHORIZED
    );
    let mut question = post("/", r#"{"inputs": "w1"}"#);
    question.headers_mut().insert("accept", BROWSER.parse().unwrap());
    assert_eq!(ask(question).await, StatusCode::UNAUTHORIZED);
}

#[test]
fn nothing_comes_from_elsewhere_and_the_script_finds_its_elements() {
    page::is_alone(PAGE);
    assert!(page::has_its_elements(PAGE) > 10);
    assert!(PAGE.contains("<label for=\"key\">"));
}

/// Two snapshots of a worker, a second apart, in which it answered one request.
async fn two() -> (Value, Value) {
    let fake = Fake::ready("");
    let look = async || send(&fake, Request::get("/status").body(Body::empty()).unwrap()).await.2;
    let before = look().await;
    assert_eq!(send(&fake, post("/embed", r#"{"inputs": ["w1", "w2 w3"]}"#)).await.0, StatusCode::OK);
    assert_eq!(send(&fake, post("/embed", "{}")).await.0, StatusCode::BAD_REQUEST);
    support::soon("the batch is counted", || fake.metric("inference_tokens_total{type=\"input\"}").unwrap() > 0.0)
        .await;
    let mut after = look().await;
    let (elapsed, cpu) =
        (before["elapsed_seconds"].as_f64().unwrap(), before["process"]["cpu_seconds"].as_f64().unwrap());
    after["elapsed_seconds"] = json!(elapsed + 2.0);
    after["process"]["cpu_seconds"] = json!(cpu + 1.0);
    after["process"]["cpus"] = json!(2.0);
    (before, after)
}

#[tokio::test]
async fn the_script_computes_what_happened_between_two_snapshots() {
    let (before, after) = two().await;
    let lines = format!("const before = {before}, after = {after};");
    let named = "Object.fromEntries(values(before, after).map((value, index) => [CHARTS[index][0], value]))";
    let Some(values) = page::evaluate(PAGE, &lines, named) else {
        println!("node is not here: the logic of the page was not run");
        return;
    };
    let near = |name: &str, wanted: f64| {
        let value = values[name].as_f64().unwrap_or(f64::NAN);
        assert!((value - wanted).abs() < 1e-6, "{name} is {value}, and not {wanted}");
    };
    near("requests", 1.0);
    near("errors", 0.5);
    near(
        "batch",
        after["histograms"]["inference_batch_size"][0]["sum"].as_f64().unwrap()
            / after["histograms"]["inference_batch_size"][0]["count"].as_f64().unwrap(),
    );
    near("queue", 0.0);
    near("CPU", 25.0);
    assert!(values["tokens"].as_f64().unwrap() > 1.0 && values["p95, in all"].as_f64().unwrap() > 0.0, "{values}");
    let evaluate = |expression: &str| page::evaluate(PAGE, &lines, expression).unwrap();
    let none = evaluate("values(after, before)");
    assert!(none.as_array().unwrap().iter().all(Value::is_null), "a new process begins anew: {none}");
    assert!(evaluate("values(null, after)").as_array().unwrap().iter().all(Value::is_null));
    let device = evaluate("devices(after, 25)[0]");
    assert_eq!((&device["device"], &device["name"], &device["usage"]), (&json!("cpu"), &json!("2 cores"), &json!(25)));
    let written = evaluate("[short(0), short(1234), bytes(90261504), seconds(0.0278), seconds(Infinity), age(274000)]");
    assert_eq!(written, json!(["0", "1.23k", "86.1 MiB", "27.8 ms", "> 30 s", "3d 04h"]));
    let quantile = "quantile(null, {bounds: [1, 2, 4], cumulative: [0, 10, 10], count: 10}, 0.5)";
    assert_eq!(evaluate(quantile), json!(1.5));
}
