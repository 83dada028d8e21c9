//! Health and metadata of the Open Inference Protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use axum::body::Body;
use axum::http::Request;
use belfry_worker::engine::Output;
use belfry_worker::lifecycle::State;
use client::send;
use serde_json::{Value, json};
use support::Fake;

async fn get(fake: &Fake, path: &str) -> (u16, Value) {
    let (status, _, body) = send(fake, Request::get(path).body(Body::empty()).unwrap()).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn health_follows_the_state_of_the_worker() {
    let fake = Fake::loading();
    assert_eq!(get(&fake, "/v2/health/live").await, (200, json!({ "live": true })));
    assert_eq!(get(&fake, "/v2/health/ready").await, (503, json!({ "ready": false })));
    assert_eq!(get(&fake, "/v2/models/tiny/ready").await, (503, json!({ "name": "tiny", "ready": false })));
    assert_eq!(get(&fake, "/v2/models/tiny").await.0, 503);
    let fake = Fake::ready("");
    assert_eq!(get(&fake, "/v2/health/ready").await, (200, json!({ "ready": true })));
    assert_eq!(get(&fake, "/v2/models/tiny/ready").await, (200, json!({ "name": "tiny", "ready": true })));
    fake.app.advance(State::Draining);
    assert_eq!(get(&fake, "/v2/health/ready").await.0, 503);
    assert_eq!(get(&fake, "/v2/models/tiny").await.0, 200, "it still answers");
    fake.app.lifecycle.lane_lost();
    assert_eq!(get(&fake, "/v2/health/live").await, (503, json!({ "live": false })));
}

#[tokio::test]
async fn metadata_has_the_fields_of_the_protocol() {
    let fake = Fake::giving([Output::Dense, Output::Sparse, Output::MultiVector], "");
    let server = json!({ "name": "belfry-worker", "version": env!("CARGO_PKG_VERSION"), "extensions": [] });
    assert_eq!(get(&fake, "/v2").await, (200, server));
    let model = json!({
        "name": "tiny", "versions": [], "platform": "pytorch_safetensors",
        "inputs": [{ "name": "text", "datatype": "BYTES", "shape": [-1] }],
        "outputs": [
            { "name": "dense", "datatype": "FP32", "shape": [-1, 3] },
            { "name": "sparse", "datatype": "FP32", "shape": [-1, 14] },
            { "name": "multivector", "datatype": "FP32", "shape": [-1, -1, 3] },
        ],
    });
    assert_eq!(get(&fake, "/v2/models/tiny").await, (200, model));
    let (_, ranker) = get(&Fake::scoring(), "/v2/models/tiny").await;
    assert_eq!(ranker["inputs"][0], json!({ "name": "query", "datatype": "BYTES", "shape": [1] }));
    assert_eq!(ranker["outputs"], json!([{ "name": "score", "datatype": "FP32", "shape": [-1, 1] }]));
    let (_, classifier) = get(&Fake::giving([Output::Classes], ""), "/v2/models/tiny").await;
    assert_eq!(classifier["outputs"][0]["shape"], json!([-1, 2]));
}

#[tokio::test]
async fn another_model_is_not_found_and_a_name_may_have_slashes() {
    let fake = Fake::ready("--served-name BAAI/ready");
    for path in ["/v2/models/BAAI/ready", "/v2/models/BAAI%2Fready"] {
        assert_eq!(get(&fake, path).await.1["name"], "BAAI/ready", "{path}");
    }
    assert_eq!(get(&fake, "/v2/models/BAAI/ready/ready").await.1["ready"], true);
    for path in ["/v2/models/BAAI", "/v2/models/BAAI/ready/infer", "/v2/models/BAAI/ready/versions/1"] {
        let (status, body) = get(&fake, path).await;
        assert_eq!(
            (status, &body["error"]),
            (404, &json!("this worker serves BAAI/ready, and no other model")),
            "{path}"
        );
    }
}
