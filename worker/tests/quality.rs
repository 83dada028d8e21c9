//! Signals of the quality of answers: ratings, confidence and empty answers, on a fake engine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use belfry_worker::engine::Output;
use belfry_worker::http::{Access, guarded};
use belfry_worker::metrics::Format;
use belfry_worker::probe;
use client::{OPENAI, SCORE, TEI, post, send};
use http_body_util::BodyExt;
use serde_json::json;
use support::{Fake, Next, soon};
use tower::ServiceExt;

const FEEDBACK: &str = "/v1/feedback";
const CONFIDENCE: &str = "inference_prediction_confidence";

fn rating(fake: &Fake, rating: &str) -> Option<f64> {
    fake.metric(&format!(r#"inference_feedback_total{{rating="{rating}"}}"#))
}

fn text(fake: &Fake) -> String {
    fake.app.metrics.render(Format::Plain).unwrap().1
}

#[tokio::test]
async fn a_rating_is_counted_and_is_no_traffic_even_before_the_model_is_loaded() {
    for fake in [Fake::loading(), Fake::ready("")] {
        for (value, count) in [("positive", 1.0), ("neutral", 1.0), ("negative", 1.0), ("negative", 2.0)] {
            let body = json!({ "request_id": "a-1", "rating": value, "comment": { "any": "thing" } });
            let (status, _, answer) = send(&fake, post(FEEDBACK, body.to_string())).await;
            assert_eq!((status, answer), (StatusCode::OK, json!({ "request_id": "a-1", "rating": value })));
            assert_eq!(rating(&fake, value), Some(count));
        }
        let text = text(&fake);
        let mut requests = text.lines().filter(|line| line.starts_with("inference_requests_total{"));
        assert!(requests.all(|line| line.ends_with(" 0")), "{text}");
        for series in ["inference_request_bytes_total", "inference_response_bytes_total", "inference_active_requests"] {
            assert_eq!(fake.metric(series), Some(0.0), "{series}");
        }
    }
}

#[tokio::test]
async fn a_wrong_rating_is_refused_with_the_field_and_counted_nowhere() {
    let fake = Fake::ready("");
    let long = "x".repeat(129);
    let cases = [
        (json!({ "rating": "positive" }), "request_id"),
        (json!({ "request_id": "a" }), "rating"),
        (json!({ "request_id": "a", "rating": "good" }), "rating"),
        (json!({ "request_id": "a", "rating": "Positive" }), "rating"),
        (json!({ "request_id": "a", "rating": 1 }), "rating"),
        (json!({ "request_id": "a", "rating": null }), "rating"),
        (json!({ "request_id": 7, "rating": "positive" }), "request_id"),
        (json!({ "request_id": "", "rating": "positive" }), "request_id"),
        (json!({ "request_id": "two words", "rating": "positive" }), "request_id"),
        (json!({ "request_id": long, "rating": "positive" }), "request_id"),
    ];
    for (body, field) in cases {
        let (status, _, answer) = send(&fake, post(FEEDBACK, body.to_string())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(answer["error"]["param"] == field || message.contains(field), "{body}: {answer}");
        assert!(!message.contains("two words") && !message.contains("good"), "{answer}");
    }
    for (body, status) in [("{", 400), ("", 400), ("[]", 400), (r#""positive""#, 400)] {
        assert_eq!(send(&fake, post(FEEDBACK, body)).await.0.as_u16(), status, "{body}");
    }
    let mut request = post(FEEDBACK, "{}");
    request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(send(&fake, request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for value in ["positive", "neutral", "negative"] {
        assert_eq!(rating(&fake, value), Some(0.0), "{value}");
    }
}

#[tokio::test]
async fn a_rating_needs_the_key_of_the_other_routes() {
    let fake = Fake::ready("");
    let keys = support::args("--model /m --api-keys hunter2").access;
    let router = guarded(Arc::clone(&fake.app), Access::read(&keys).unwrap());
    let body = r#"{"request_id": "a", "rating": "positive"}"#;
    for (key, expected) in [("Bearer wrong", StatusCode::UNAUTHORIZED), ("Bearer hunter2", StatusCode::OK)] {
        let mut request = post(FEEDBACK, body);
        request.headers_mut().insert("authorization", key.parse().unwrap());
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), expected);
        drop(answer.into_body().collect().await);
    }
    assert_eq!(rating(&fake, "positive"), Some(1.0));
}

#[tokio::test]
async fn a_model_with_labels_says_how_sure_it_is_on_every_route() {
    // The score of three tokens is -2, and the numbers of two labels are 0 and 3.
    let (low, high) = (1.0 / (1.0 + 2_f64.exp()), 1.0 / (1.0 + (-3_f64).exp()));
    let rerank = r#"{"query": "w1", "texts": ["w2"]}"#;
    let score = r#"{"query": {"text": "w1"}, "items": [{"text": "w2"}]}"#;
    let scoring = Fake::scoring();
    for (count, (path, body)) in [("/rerank", rerank), (SCORE, score)].into_iter().enumerate() {
        let before = scoring.metric(&format!("{CONFIDENCE}_sum")).unwrap();
        let (status, _, answer) = send(&scoring, post(path, body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(scoring.metric(&format!("{CONFIDENCE}_count")), Some(count as f64 + 1.0), "{path}");
        let sum = scoring.metric(&format!("{CONFIDENCE}_sum")).unwrap() - before;
        assert!(sum > 0.0 && sum < 1.0, "{path}: {sum}");
    }
    let classes = Fake::giving([Output::Classes], "");
    for raw in [false, true] {
        let body = json!({ "inputs": [["w1"], ["w2"]], "raw_scores": raw });
        assert_eq!(send(&classes, post("/predict", body.to_string())).await.0, StatusCode::OK);
    }
    assert_eq!(classes.metric(&format!("{CONFIDENCE}_count")), Some(4.0));
    let mean = classes.metric(&format!("{CONFIDENCE}_sum")).unwrap() / 4.0;
    assert!((mean - high).abs() < 1e-6 && low < 0.5, "{mean}");
}

#[tokio::test]
async fn a_model_without_labels_has_no_series_of_confidence() {
    for fake in [Fake::ready(""), Fake::late(""), Fake::loading()] {
        drop(send(&fake, post(TEI, r#"{"inputs": "w1"}"#)).await);
        assert!(!text(&fake).contains(CONFIDENCE));
    }
    assert_eq!(Fake::scoring().metric(&format!("{CONFIDENCE}_count")), Some(0.0), "it is born at 0");
}

#[tokio::test]
async fn an_answer_with_nothing_in_it_is_counted_and_one_that_is_not_finite_is_no_answer() {
    const EMPTY: &str = "inference_empty_outputs_total";
    let fake = Fake::held("");
    assert_eq!(fake.metric(EMPTY), Some(0.0));
    for (next, expected, count) in [(Next::Answer, 200, 0.0), (Next::Zero, 200, 1.0), (Next::Nan, 500, 1.0)] {
        fake.permit(next);
        assert_eq!(send(&fake, post(OPENAI, r#"{"input": "w1"}"#)).await.0.as_u16(), expected);
        assert_eq!(fake.metric(EMPTY), Some(count));
    }
}

#[tokio::test]
async fn the_worker_s_own_question_is_in_no_signal() {
    let fake = Fake::scoring();
    let asking = tokio::spawn(probe::run(Arc::clone(&fake.app), Duration::from_millis(1)));
    let progress = || fake.metric("inference_last_progress_timestamp_seconds").unwrap();
    soon("questions were answered", || progress() > 0.0).await;
    let first = progress();
    soon("and more of them", || progress() > first).await;
    asking.abort();
    assert_eq!(fake.metric(&format!("{CONFIDENCE}_count")), Some(0.0));
}
