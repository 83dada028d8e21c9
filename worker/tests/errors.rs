//! Every row of the error table, on a fake engine and without a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::http::router;
use belfry_worker::lifecycle::State;
use client::{ENCODE, OPENAI, SCORE, TEI, fails, post, send};
use serde_json::json;
use support::{Fake, Next, soon};
use tower::ServiceExt;

#[tokio::test]
async fn malformed_requests_are_refused_by_the_table() {
    let long = "w1 ".repeat(20);
    let many: Vec<&str> = vec!["w1"; 300];
    let rows = [
        (OPENAI, r#"{"input": "#.to_owned(), 400, "invalid_json"),
        (OPENAI, format!(r#"{{"input": {}"#, "[".repeat(100_000)), 400, "invalid_json"),
        (OPENAI, r#"{"input": 1.5}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": ["a", 1]}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, "{}".to_owned(), 400, "invalid_input"),
        (OPENAI, "[]".to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": ""}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": []}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": [2, 4, 3]}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": [[2, 4, 3]]}"#.to_owned(), 400, "invalid_input"),
        (TEI, r#"{"inputs": [14]}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, "null".to_owned(), 400, "invalid_input"),
        (OPENAI, String::new(), 400, "invalid_json"),
        (OPENAI, r#"{"input": "a", "encoding_format": "hex"}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": "a", "dimensions": "3"}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": "a", "model": "gpt"}"#.to_owned(), 404, "model_not_found"),
        (OPENAI, json!({ "input": long }).to_string(), 400, "input_too_long"),
        (OPENAI, r#"{"input": "a", "prompt_name": "query"}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, r#"{"input": "a", "prompt_name": "query", "prompt": "q: "}"#.to_owned(), 400, "invalid_input"),
        (OPENAI, json!({ "input": vec!["w1"; 2049] }).to_string(), 422, "too_many_inputs"),
        (TEI, r#"{"inputs": null}"#.to_owned(), 400, "invalid_input"),
        (TEI, r#"{"inputs": "a", "truncate": "yes"}"#.to_owned(), 400, "invalid_input"),
        (TEI, r#"{"inputs": "a", "truncation_direction": "Left"}"#.to_owned(), 400, "invalid_input"),
        (TEI, r#"{"inputs": "a", "prompt_name": "query"}"#.to_owned(), 400, "invalid_input"),
        (TEI, json!({ "inputs": long }).to_string(), 422, "input_too_long"),
        (TEI, json!({ "inputs": many }).to_string(), 422, "too_many_inputs"),
        ("/rerank", r#"{"query": "", "texts": ["a"]}"#.to_owned(), 400, "invalid_input"),
        ("/rerank", r#"{"query": "a", "texts": []}"#.to_owned(), 400, "invalid_input"),
        ("/rerank", r#"{"query": "a", "texts": ["", "b"]}"#.to_owned(), 400, "invalid_input"),
        ("/rerank", r#"{"query": ["a"], "texts": ["b"]}"#.to_owned(), 400, "invalid_input"),
        ("/v1/rerank", r#"{"query": "a", "documents": [{"title": "b"}]}"#.to_owned(), 400, "invalid_input"),
        ("/v1/rerank", r#"{"query": "a", "documents": ["b"], "model": "x"}"#.to_owned(), 404, "model_not_found"),
        ("/predict", r#"{"inputs": [["a"], ["b", "c"]]}"#.to_owned(), 400, "invalid_input"),
        ("/predict", r#"{"inputs": [["a", "b", "c"]]}"#.to_owned(), 400, "invalid_input"),
        ("/predict", r#"{"inputs": 1}"#.to_owned(), 400, "invalid_input"),
        ("/similarity", r#"{"inputs": {"source_sentence": "a", "sentences": []}}"#.to_owned(), 400, "invalid_input"),
        ("/embed_sparse", r#"{"inputs": ""}"#.to_owned(), 400, "invalid_input"),
        ("/embed_all", r#"{"inputs": {}}"#.to_owned(), 400, "invalid_input"),
        (ENCODE, r#"{"items": ["#.to_owned(), 400, "invalid_json"),
        (ENCODE, r#"{"items": []}"#.to_owned(), 400, "invalid_input"),
        (ENCODE, json!({ "items": [{ "text": long }] }).to_string(), 400, "input_too_long"),
        (ENCODE, json!({ "items": vec![json!({ "text": "w1" }); 257] }).to_string(), 422, "too_many_inputs"),
        (ENCODE, json!({ "items": vec![json!({}); 70_000] }).to_string(), 422, "too_many_inputs"),
        (SCORE, r#"{"query": {"text": "a"}, "items": [{"text": "b"}]}"#.to_owned(), 400, "invalid_input"),
        (SCORE, r#"{"query": {"text": ""}, "items": [{"text": "b"}]}"#.to_owned(), 400, "invalid_input"),
    ];
    for (path, body, status, code) in rows {
        fails(&Fake::ready(""), post(path, body), status, code).await;
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_named_with_both_numbers() {
    let fake = Fake::ready("");
    let body = json!({ "input": ["w1", "w1 ".repeat(20)] });
    let (_, message) = fails(&fake, post(OPENAI, body.to_string()), 400, "input_too_long").await;
    assert_eq!(message, "input 1 is 22 tokens long; the model takes at most 8");
}

#[tokio::test]
async fn token_ids_of_an_unknown_vocabulary_are_refused_with_the_way_out() {
    let (_, message) = fails(&Fake::ready(""), post(OPENAI, r#"{"input": [2, 4, 3]}"#), 400, "invalid_input").await;
    assert!(
        message.contains("check_embedding_ctx_length=False") && message.contains("--accept-token-ids"),
        "{message}"
    );
}

#[tokio::test]
async fn a_request_of_too_many_texts_names_the_setting_that_binds() {
    let fake = Fake::ready("--max-client-batch-size 8 --queue-capacity 4");
    let body = |name: &str, count| json!({ name: vec!["w1"; count] }).to_string();
    let (_, message) = fails(&fake, post(TEI, body("inputs", 9)), 422, "too_many_inputs").await;
    assert_eq!(message, "9 inputs in one request; at most 8 are accepted (max_client_batch_size)");
    assert_eq!(send(&fake, post(OPENAI, body("input", 64))).await.0, StatusCode::OK);
    let (_, message) = fails(&fake, post(OPENAI, body("input", 65)), 422, "too_many_inputs").await;
    assert_eq!(message, "65 inputs in one request; at most 64 are accepted (8 times max_client_batch_size)");
}

#[tokio::test]
async fn no_error_quotes_the_request() {
    let bodies = [
        r#"{"input": {"secret": "secret"}}"#,
        r#"{"input": ["secret", 1]}"#,
        r#"{"input": "secret", "encoding_format": "secret"}"#,
        r#"{"input": "a", "model": "secret"}"#,
        r#"{"input": "secret"#,
        r#"{"input": "secret", "dimensions": "secret"}"#,
        "secret",
    ];
    for body in bodies {
        let (_, _, answer) = send(&Fake::ready(""), post(OPENAI, body)).await;
        assert!(!answer["error"].is_null() && !answer.to_string().contains("secret"), "{answer}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_kind() {
    let huge = vec![b' '; belfry_worker::admit::BODY_LIMIT + 1];
    let (head, _) = fails(&Fake::ready(""), post(OPENAI, huge.clone()), 413, "request_too_large").await;
    assert_eq!(head.headers()["connection"], "close");
    let announced =
        Request::post(OPENAI).header("content-type", "application/json").header("content-length", "99999999");
    fails(&Fake::ready(""), announced.body(Body::empty()).unwrap(), 413, "request_too_large").await;
    let form = Request::post(OPENAI)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("{}"))
        .unwrap();
    fails(&Fake::ready(""), form, 415, "unsupported_media_type").await;
    // Without a content-type it can only be JSON.
    fails(&Fake::ready(""), Request::post(OPENAI).body(Body::from("{}")).unwrap(), 400, "invalid_input").await;
    let packed = Request::post(OPENAI).header("content-type", "application/json").header("content-encoding", "gzip");
    fails(&Fake::ready(""), packed.body(Body::from("x")).unwrap(), 415, "unsupported_media_type").await;
}

#[tokio::test]
async fn bodies_of_all_requests_together_are_bounded() {
    let fake = Fake::ready("");
    let _others =
        fake.app.bodies.try_acquire_many(u32::try_from(fake.app.bodies.available_permits()).unwrap()).unwrap();
    let (head, _) = fails(&fake, post(OPENAI, r#"{"input": "a"}"#), 429, "queue_full").await;
    assert_eq!(head.headers()["retry-after"], "1");
}

#[tokio::test]
async fn unknown_routes_and_methods_answer_in_json() {
    let fake = Fake::ready("");
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    fails(&fake, get("/nowhere"), 404, "not_found").await;
    fails(&fake, get("/v1/models/other"), 404, "model_not_found").await;
    fails(&fake, get(OPENAI), 405, "method_not_allowed").await;
    fails(&fake, Request::delete(TEI).body(Body::empty()).unwrap(), 405, "method_not_allowed").await;
    fails(&fake, post("/healthz", ""), 405, "method_not_allowed").await;
}

#[tokio::test]
async fn a_request_before_the_model_is_loaded_is_asked_to_retry() {
    let fake = Fake::loading();
    for (path, body) in [(OPENAI, r#"{"input": "a"}"#), (ENCODE, r#"{"items": [{"text": "a"}]}"#)] {
        let (head, _) = fails(&fake, post(path, body), 503, "model_loading").await;
        assert_eq!(head.headers()["retry-after"], "5");
    }
    fake.app.advance(State::Failed);
    let fake = Fake::loading();
    let (status, _, body) = send(&fake, Request::get("/v1/models").body(Body::empty()).unwrap()).await;
    assert_eq!((status, &body["data"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn an_output_that_the_model_does_not_have_is_refused_by_name() {
    for (path, body) in [(OPENAI, r#"{"input": "a"}"#), (TEI, r#"{"inputs": "a"}"#)] {
        let (_, message) = fails(&Fake::scoring(), post(path, body), 400, "invalid_input").await;
        assert_eq!(message, "this route answers with dense output, and this model has only: score");
    }
    for (path, body) in [
        ("/rerank", r#"{"query": "a", "texts": ["b"]}"#),
        ("/v1/rerank", r#"{"query": "a", "documents": ["b"]}"#),
        ("/embed_sparse", r#"{"inputs": "a"}"#),
        ("/predict", r#"{"inputs": "a"}"#),
    ] {
        let (_, message) = fails(&Fake::ready(""), post(path, body), 400, "invalid_input").await;
        assert!(message.ends_with("and this model has only: dense"), "{message}");
    }
}

#[tokio::test]
async fn a_full_queue_answers_at_once_and_stays_ready() {
    let fake = Fake::held("--queue-capacity 2");
    let app = router(Arc::clone(&fake.app));
    let waiting = tokio::spawn(app.clone().oneshot(post(OPENAI, r#"{"input": ["w1", "w2"]}"#)));
    soon("the first batch runs", || fake.app.inbox.busy() && fake.app.inbox.depth() == 0).await;
    let second = tokio::spawn(app.oneshot(post(OPENAI, r#"{"input": ["w3", "w4"]}"#)));
    soon("the second waits", || fake.app.inbox.depth() == 2).await;
    let (_, head, body) = send(&fake, post(OPENAI, r#"{"input": "w5"}"#)).await;
    assert_eq!(body["error"]["code"], "queue_full");
    assert!(head.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(send(&fake, Request::get("/readyz").body(Body::empty()).unwrap()).await.0, StatusCode::OK);
    assert!(
        send(&fake, Request::get("/metrics").body(Body::empty()).unwrap())
            .await
            .2
            .as_str()
            .unwrap()
            .contains("inference_queue_depth 2")
    );
    fake.permit(Next::Answer);
    fake.permit(Next::Answer);
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(second.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_failed_pass_fails_its_requests_and_the_lane_lives_on() {
    let fake = Fake::held("");
    for next in [Next::Fail, Next::Panic, Next::Nan, Next::Short, Next::Nothing] {
        fake.permit(next);
        let (status, _, body) = send(&fake, post(OPENAI, r#"{"input": "w1"}"#)).await;
        assert_eq!((status.as_u16(), body["error"]["code"].as_str()), (500, Some("inference_failed")));
        fake.permit(Next::Answer);
        assert_eq!(send(&fake, post(OPENAI, r#"{"input": "w1"}"#)).await.0, StatusCode::OK);
    }
    let series = r#"inference_requests_total{endpoint="/v1/embeddings",reason="inference_failed",status="500"}"#;
    assert_eq!(fake.metric(series), Some(5.0));
}

#[tokio::test]
async fn a_request_that_waits_too_long_is_answered_and_never_computed() {
    let fake = Fake::held("--request-timeout-ms 200 --max-batch-size 1");
    let first = tokio::spawn(router(Arc::clone(&fake.app)).oneshot(post(OPENAI, r#"{"input": "w1"}"#)));
    let second = tokio::spawn(router(Arc::clone(&fake.app)).oneshot(post(OPENAI, r#"{"input": "w2"}"#)));
    for request in [first, second] {
        assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    }
    fake.permit(Next::Answer);
    soon("the queue is empty", || fake.app.inbox.depth() == 0 && !fake.app.inbox.busy()).await;
    assert_eq!(fake.metric("inference_batch_size_count"), Some(1.0), "the second was dropped in the queue");
}

#[tokio::test]
async fn a_caller_that_disconnects_is_counted_and_costs_nothing() {
    let fake = Fake::held("");
    let mut left = Box::pin(router(Arc::clone(&fake.app)).oneshot(post(OPENAI, r#"{"input": "w1"}"#)));
    tokio::select! {
        _ = &mut left => panic!("the engine is held"),
        () = soon("the request is computed", || fake.app.inbox.busy()) => {}
    }
    drop(left);
    let series = r#"inference_requests_total{endpoint="/v1/embeddings",reason="client_closed_request",status="499"}"#;
    assert_eq!((fake.metric(series), fake.metric("inference_active_requests")), (Some(1.0), Some(0.0)));
    fake.permit(Next::Answer);
}
