//! The last hour's texts against a baseline, on a fake engine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::engine::Output;
use belfry_worker::quality::baseline;
use client::{OPENAI, post, send};
use serde_json::{Value, json};
use support::{Fake, soon};
use tokio::task::JoinHandle;

/// Follows a file, and looks every millisecond.
fn follow(fake: &Fake, file: &Path) -> JoinHandle<()> {
    tokio::spawn(baseline::follow(Arc::clone(&fake.app), file.to_owned(), Duration::from_millis(1)))
}

fn state(fake: &Fake, state: &str) -> Option<f64> {
    fake.app.measure();
    fake.metric(&format!(r#"inference_drift_baseline{{state="{state}"}}"#))
}

fn score(fake: &Fake, feature: &str) -> Option<f64> {
    fake.app.measure();
    fake.metric(&format!(r#"inference_drift_score{{feature="{feature}"}}"#))
}

async fn quality(fake: &Fake) -> Value {
    let request = Request::get("/v1/quality").body(Body::empty()).unwrap();
    let (status, _, body) = send(fake, request).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// Sends a text in this many requests.
async fn ask(fake: &Fake, text: &str, requests: usize) {
    for _ in 0..requests {
        let body = json!({ "input": [text, text, text, text, text, text, text, text] }).to_string();
        assert_eq!(send(fake, post(OPENAI, body)).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_window_counts_at_most_eight_texts_of_a_request_and_none_of_the_worker_s_own() {
    let fake = Fake::ready("");
    let empty = quality(&fake).await;
    assert_eq!((&empty["texts"], &empty["baseline"], &empty["drift"]), (&json!(0), &Value::Null, &json!({})));
    let many: Vec<&str> = vec!["w1 w2"; 200];
    assert_eq!(send(&fake, post(OPENAI, json!({ "input": many }).to_string())).await.0, StatusCode::OK);
    assert_eq!(send(&fake, post(OPENAI, r#"{"input": "w1"}"#)).await.0, StatusCode::OK);
    assert_eq!(send(&fake, post(OPENAI, r#"{"input": []}"#)).await.0, StatusCode::BAD_REQUEST);
    let asking = tokio::spawn(belfry_worker::probe::run(Arc::clone(&fake.app), Duration::from_millis(1)));
    let progress = || fake.metric("inference_last_progress_timestamp_seconds").unwrap();
    let first = progress();
    soon("a question was answered", || progress() > first).await;
    asking.abort();
    let found = quality(&fake).await;
    assert_eq!((&found["texts"], &found["format"], &found["digest"]), (&json!(9), &json!(1), &json!("fake")));
    let sums = |name: &str| -> Vec<u64> {
        let lists = found["features"][name].as_array().unwrap().iter();
        lists.map(|list| list.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()).collect()
    };
    assert_eq!((sums("input_length"), sums("embedding")), (vec![9], vec![9; 8]));
    assert!(found["features"].get("confidence").is_none(), "it has no labels");
    assert!(quality(&Fake::giving([Output::Classes], "")).await["features"].get("embedding").is_none());
}

#[tokio::test]
async fn a_baseline_comes_while_the_worker_runs_and_a_change_of_texts_shows_against_it() {
    let (fake, folder) = (Fake::ready(""), tempfile::tempdir().unwrap());
    let file = folder.path().join("baseline.json");
    assert_eq!(state(&fake, "missing"), None, "none is configured");
    let following = follow(&fake, &file);
    soon("it is missing", || state(&fake, "missing") == Some(1.0)).await;
    ask(&fake, "w1 w2", 40).await;
    ask(&fake, "w1", 40).await;
    fs::write(&file, quality(&fake).await.to_string()).unwrap();
    soon("it is used", || state(&fake, "used") == Some(1.0)).await;
    assert_eq!(state(&fake, "missing"), Some(0.0));
    for feature in ["input_length", "embedding"] {
        assert_eq!(score(&fake, feature), Some(0.0), "{feature}");
    }
    assert_eq!(score(&fake, "confidence"), None);
    // A third of the texts is long now.
    ask(&fake, "w1 w2 w3 w4 w5 w6", 40).await;
    let found = quality(&fake).await;
    for feature in ["input_length", "embedding"] {
        assert!(score(&fake, feature).unwrap() > 0.2, "{feature}: {found}");
        let shown = found["drift"][feature].as_f64().unwrap();
        assert!((shown - score(&fake, feature).unwrap()).abs() < 1e-9, "{feature}: {found}");
    }
    assert_eq!(found["baseline"], json!({ "state": "used", "message": null }));
    fs::remove_file(&file).unwrap();
    soon("it is missing again", || state(&fake, "missing") == Some(1.0)).await;
    assert_eq!(score(&fake, "input_length"), None, "what is not measured has no series");
    following.abort();
}

#[tokio::test]
async fn a_window_with_few_texts_has_no_drift() {
    let (full, few, folder) = (Fake::ready(""), Fake::ready(""), tempfile::tempdir().unwrap());
    let file = folder.path().join("baseline.json");
    ask(&full, "w1 w2", 63).await;
    fs::write(&file, quality(&full).await.to_string()).unwrap();
    let following = follow(&few, &file);
    soon("it is used", || state(&few, "used") == Some(1.0)).await;
    // 496 texts, and then 504.
    ask(&few, "w1 w2", 62).await;
    assert_eq!(score(&few, "input_length"), None);
    ask(&few, "w1 w2", 1).await;
    assert_eq!(score(&few, "input_length"), Some(0.0));
    following.abort();
}

#[tokio::test]
async fn a_baseline_that_can_not_be_used_stops_nothing_and_says_why() {
    let (fake, folder) = (Fake::ready(""), tempfile::tempdir().unwrap());
    let file = folder.path().join("baseline.json");
    ask(&fake, "w1 w2", 63).await;
    let good = quality(&fake).await;
    let changed = |field: &str, value: Value| {
        let mut changed = good.clone();
        changed[field] = value;
        changed.to_string()
    };
    let cases = [
        (String::new(), "unusable", "it is no baseline: line 1"),
        ("{".to_owned(), "unusable", "it is no baseline: line 1"),
        ("x".repeat(300_000), "unusable", "at most 262144"),
        (changed("format", json!(2)), "unusable", "it has format 2; this version reads 1"),
        (changed("texts", json!(499)), "unusable", "it has 499 texts; a baseline needs 500"),
        (changed("features", json!({ "embedding": [[900]] })), "unusable", "embedding counts more texts"),
        (changed("digest", json!("of another")), "other_model", "with digest of another"),
    ];
    let following = follow(&fake, &file);
    for (text, expected, why) in cases {
        fs::write(&file, text).unwrap();
        soon(why, || {
            let found = fake.app.quality.baseline();
            found.is_some_and(|(state, message)| state == expected && message.is_some_and(|text| text.contains(why)))
        })
        .await;
        assert_eq!((state(&fake, expected), score(&fake, "input_length")), (Some(1.0), None));
        assert_eq!(send(&fake, post(OPENAI, r#"{"input": "w1"}"#)).await.0, StatusCode::OK);
    }
    // Other bins are of no use, and no reason to fail.
    let odd = json!({ "input_length": [[500]], "embedding": [[1, 2]], "unheard": [[500]] });
    fs::write(&file, changed("features", odd)).unwrap();
    soon("it is used", || state(&fake, "used") == Some(1.0)).await;
    assert_eq!(score(&fake, "input_length"), None);
    // A folder in its place, as a mount of a wrong key makes it.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    soon("it is no file", || state(&fake, "unusable") == Some(1.0)).await;
    following.abort();
}

#[tokio::test]
async fn a_model_that_is_being_loaded_has_no_window_yet() {
    let request = Request::get("/v1/quality").body(Body::empty()).unwrap();
    let (status, _, body) = send(&Fake::loading(), request).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("model_loading")));
}
