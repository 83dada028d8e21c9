//! The worker's own question, on a fake engine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use belfry_worker::metrics::Format;
use belfry_worker::probe;
use client::{OPENAI, post, send};
use support::{Fake, Next, soon};
use tokio::task::JoinHandle;

const SUCCESS: &str = "inference_probe_success";

/// Asks every millisecond.
fn asks(fake: &Fake) -> JoinHandle<()> {
    tokio::spawn(probe::run(Arc::clone(&fake.app), Duration::from_millis(1)))
}

#[tokio::test]
async fn a_model_that_stops_answering_shows_without_any_request_and_so_does_its_recovery() {
    let fake = Fake::held("");
    assert_eq!(fake.metric(SUCCESS), Some(1.0), "it was warmed");
    let asking = asks(&fake);
    for (next, expected) in
        [(Next::Fail, 0.0), (Next::Answer, 1.0), (Next::Nan, 0.0), (Next::Panic, 0.0), (Next::Answer, 1.0)]
    {
        fake.permit(next);
        soon("the question was answered so", || fake.metric(SUCCESS) == Some(expected)).await;
    }
    asking.abort();
}

#[tokio::test]
async fn the_question_counts_as_no_traffic() {
    let fake = Fake::held("");
    let asking = asks(&fake);
    fake.permit(Next::Fail);
    soon("a question failed", || fake.metric(SUCCESS) == Some(0.0)).await;
    fake.permit(Next::Answer);
    soon("a question was answered", || fake.metric(SUCCESS) == Some(1.0)).await;
    asking.abort();
    for series in
        ["inference_batch_size_count", "inference_batch_tokens_count", r#"inference_tokens_total{type="input"}"#]
    {
        assert_eq!(fake.metric(series), Some(0.0), "{series}");
    }
    let text = fake.app.metrics.render(Format::Plain).unwrap().1;
    let requests = text.lines().filter(|line| line.starts_with("inference_requests_total{"));
    assert!(requests.clone().count() > 0 && requests.clone().all(|line| line.ends_with(" 0")), "{text}");
}

#[tokio::test]
async fn a_worker_that_computes_for_callers_is_not_asked() {
    let fake = Fake::held("");
    let request = send(&fake, post(OPENAI, r#"{"input": "w0"}"#));
    let asking = asks(&fake);
    let watched = async {
        soon("the worker is busy", || fake.app.inbox.busy()).await;
        // Many questions would have been asked by now.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(fake.app.inbox.depth() == 0, "a question waits behind a caller's text");
        asking.abort();
        fake.permit(Next::Answer);
    };
    let ((status, ..), ()) = tokio::join!(request, watched);
    assert_eq!(status, StatusCode::OK);
}
