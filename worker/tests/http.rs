//! Every route that answers, on a fake engine and without a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use belfry_worker::lifecycle::State;
use belfry_worker::server::Admission;
use client::{OPENAI, TEI, fails, post, send};
use serde_json::json;
use support::Fake;

#[tokio::test]
async fn embeddings_have_openais_shape_and_length_one() {
    let fake = Fake::ready("");
    let body = json!({ "input": ["w0 w1", "w2"], "model": "tiny", "user": "someone", "unknown": [1] });
    let (status, head, body) = send(&fake, post(OPENAI, body.to_string())).await;
    assert_eq!(status, StatusCode::OK);
    assert!(head.headers().contains_key("x-request-id"));
    assert_eq!((body["object"].as_str(), body["model"].as_str()), (Some("list"), Some("tiny")));
    assert_eq!(body["usage"], json!({ "prompt_tokens": 7, "total_tokens": 7 }));
    let first: Vec<f64> = serde_json::from_value(body["data"][0]["embedding"].clone()).unwrap();
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((norm(&first) - 1.0).abs() < 1e-6);
    // [CLS] w0 w1 [SEP] has 4 tokens whose ids add up to 2 + 4 + 5 + 3.
    assert!((first[1] / first[0] - 14.0 / 4.0).abs() < 1e-6);
    assert_eq!(body["data"][1]["index"], 1);
}

#[tokio::test]
async fn base64_holds_the_same_floats() {
    let fake = Fake::ready("");
    let (_, _, float) = send(&fake, post(OPENAI, json!({ "input": "w3" }).to_string())).await;
    let (_, _, packed) =
        send(&fake, post(OPENAI, json!({ "input": "w3", "encoding_format": "base64" }).to_string())).await;
    let text = packed["data"][0]["embedding"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let floats: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let expected: Vec<f32> = serde_json::from_value(float["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(floats, expected);
}

#[tokio::test]
async fn token_ids_give_what_their_text_gives() {
    let fake = Fake::ready("--accept-token-ids");
    let (_, _, text) = send(&fake, post(OPENAI, r#"{"input": ["w0 w1"]}"#)).await;
    for ids in ["[2, 4, 5, 3]", "[[2, 4, 5, 3]]"] {
        let (_, _, body) = send(&fake, post(OPENAI, format!(r#"{{"input": {ids}}}"#))).await;
        assert_eq!(body["data"], text["data"]);
    }
}

#[tokio::test]
async fn more_texts_than_the_queue_holds_pass_through_it_in_parts_and_in_order() {
    let fake = Fake::ready("--queue-capacity 4 --max-client-batch-size 100");
    let texts: Vec<String> = (0..50).map(|i| ["w1"; 5][..i % 5 + 1].join(" ")).collect();
    let (status, _, body) = send(&fake, post(TEI, json!({ "inputs": texts, "normalize": false }).to_string())).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let tokens: Vec<usize> = body.as_array().unwrap().iter().map(|row| row[0].as_f64().unwrap() as usize).collect();
    assert_eq!(tokens, (0..50).map(|i| i % 5 + 3).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_where_the_request_or_the_worker_says_so() {
    let long = "w1 ".repeat(20);
    let cut = json!({ "input": long, "truncate": true }).to_string();
    assert_eq!(send(&Fake::ready(""), post(OPENAI, cut)).await.0, StatusCode::OK);
    let fake = Fake::ready("--auto-truncate");
    for (path, body) in [(OPENAI, json!({ "input": long })), (TEI, json!({ "inputs": long }))] {
        assert_eq!(send(&fake, post(path, body.to_string())).await.0, StatusCode::OK, "{path}");
    }
    let refused = json!({ "input": long, "truncate": false }).to_string();
    fails(&fake, post(OPENAI, refused), 400, "input_too_long").await;
}

#[tokio::test]
async fn dimensions_cut_and_bring_to_length_one_again() {
    let fake = Fake::ready("");
    let (_, _, body) = send(&fake, post(OPENAI, r#"{"input": "w0", "dimensions": 1}"#)).await;
    assert_eq!(body["data"][0]["embedding"], json!([1.0]));
    for dimensions in ["0", "4"] {
        let body = format!(r#"{{"input": "w0", "dimensions": {dimensions}}}"#);
        let fake = Fake::ready("");
        fails(&fake, post(OPENAI, body), 400, "invalid_input").await;
    }
}

#[tokio::test]
async fn embed_has_the_shape_of_text_embeddings_inference() {
    let fake = Fake::ready("");
    let (_, _, raw) = send(&fake, post(TEI, r#"{"inputs": ["w0 w1", "w2"], "normalize": false}"#)).await;
    assert_eq!(raw, json!([[4.0, 14.0, 1.0], [3.0, 11.0, 1.0]]));
    let (_, _, one) = send(&fake, post(TEI, r#"{"inputs": "w0 w1"}"#)).await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    let (_, _, cut) =
        send(&fake, post(TEI, json!({ "inputs": "w0 ".repeat(99), "truncate": true, "normalize": false }).to_string()))
            .await;
    assert_eq!(cut[0][0], 8.0);
}

#[tokio::test]
async fn probes_report_the_state_at_every_step() {
    let fake = Fake::loading();
    let probe = async |fake: &Fake, path: &str| {
        let (status, _, body) = send(fake, Request::get(path).body(Body::empty()).unwrap()).await;
        (status.as_u16(), body["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(probe(&fake, "/readyz").await, (503, "loading".to_owned()));
    assert_eq!(probe(&fake, "/healthz").await, (200, "alive".to_owned()));
    assert_eq!(fake.metric(r#"inference_model_state{state="loading"}"#), Some(1.0));
    let fake = Fake::ready("");
    assert_eq!(probe(&fake, "/readyz").await, (200, "ready".to_owned()));
    assert_eq!(fake.metric("inference_model_loaded"), Some(1.0));
    fake.app.advance(State::Draining);
    assert_eq!(probe(&fake, "/readyz").await, (503, "draining".to_owned()));
    assert_eq!(fake.metric("inference_model_loaded"), Some(1.0), "it still answers");
    fake.app.lifecycle.lane_lost();
    assert_eq!(probe(&fake, "/healthz").await, (503, "stuck".to_owned()));
}

#[tokio::test]
async fn a_draining_worker_answers_first_and_refuses_later() {
    let fake = Fake::ready("");
    fake.app.advance(State::Draining);
    assert_eq!(send(&fake, post(OPENAI, r#"{"input": "w1"}"#)).await.0, StatusCode::OK);
    fake.app.advance(State::Refusing);
    let mut late = post(OPENAI, r#"{"input": "w1"}"#);
    late.extensions_mut().insert(Admission::Late);
    let (head, _) = fails(&fake, late, 503, "draining").await;
    assert_eq!(
        (&head.headers()["connection"], &head.headers()["retry-after"]),
        (&"close".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(fake.metric("inference_model_loaded"), Some(0.0));
}

#[tokio::test]
async fn a_callers_request_id_comes_back_and_never_becomes_a_series() {
    let fake = Fake::ready("");
    let mut request = post(OPENAI, r#"{"input": "w1"}"#);
    request.headers_mut().insert("x-request-id", "trace-77".parse().unwrap());
    let (_, head, _) = send(&fake, request).await;
    assert_eq!(head.headers()["x-request-id"], "trace-77");
    let before = lines(&fake);
    for i in 0..50 {
        let body = json!({ "input": "w1", "model": "tiny", "user": format!("user{i}") });
        send(&fake, post(OPENAI, body.to_string())).await;
    }
    assert_eq!(lines(&fake), before);
}

fn lines(fake: &Fake) -> usize {
    String::from_utf8(fake.app.metrics.render().unwrap().1).unwrap().lines().count()
}
