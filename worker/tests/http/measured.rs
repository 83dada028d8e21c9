//! What a request leaves in the metrics.

use std::sync::Arc;

use axum::http::StatusCode;
use belfry_worker::http::router;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::client::{OPENAI, post};
use crate::support::{Fake, Next, soon};

#[tokio::test]
async fn the_bytes_of_requests_and_of_their_answers_are_counted() {
    let fake = Fake::ready("--max-batch-tokens 512");
    assert_eq!(fake.metric("inference_batch_tokens_limit"), Some(512.0));
    let (mut asked, mut answered) = (0, 0);
    for body in [r#"{"input": "w1"}"#, r#"{"input": []}"#] {
        asked += body.len();
        let response = router(Arc::clone(&fake.app)).oneshot(post(OPENAI, body)).await.unwrap();
        answered += response.into_body().collect().await.unwrap().to_bytes().len();
        let counted = ["inference_request_bytes_total", "inference_response_bytes_total"].map(|name| fake.metric(name));
        assert_eq!(counted, [Some(asked as f64), Some(answered as f64)], "{body}");
    }
}

#[tokio::test]
async fn the_wait_of_the_oldest_text_grows_until_the_lane_takes_it() {
    let fake = Fake::held("");
    let wait = || {
        fake.app.measure();
        fake.metric("inference_queue_oldest_wait_seconds").unwrap()
    };
    assert_eq!(wait(), 0.0);
    let ask = || tokio::spawn(router(Arc::clone(&fake.app)).oneshot(post(OPENAI, r#"{"input": "w1"}"#)));
    // The first is taken at once, and the second waits for it.
    let first = ask();
    soon("the lane is busy", || fake.app.inbox.busy() && fake.app.inbox.depth() == 0).await;
    let second = ask();
    soon("a text waits", || wait() > 0.0).await;
    let before = wait();
    soon("it waits longer", || wait() > before).await;
    fake.permit(Next::Answer);
    fake.permit(Next::Answer);
    for asked in [first, second] {
        assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(wait(), 0.0);
}
