//! Requests that are wrong, on every route: each has its one clear answer at once, and the next good one is answered.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "support/bad.rs"]
mod bad;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::engine::Output;
use client::{ENCODE, OPENAI, SCORE, message_in, post, send};
use serde_json::{Value, json};
use support::Fake;

/// A word of every bad request, where one has room for it. No answer may repeat it.
const SECRET: &str = "hunter2";

/// Longest time that a wrong request may take.
const AT_ONCE: Duration = Duration::from_millis(50);

fn all() -> Fake {
    let outputs = [Output::Dense, Output::Sparse, Output::MultiVector, Output::Score, Output::Classes];
    Fake::giving(outputs, "")
}

/// Asserts that a request has its one clear answer, and that the next one is served.
async fn refused(fake: &Fake, name: &str, request: impl Fn() -> Request<Body>, status: u16) -> String {
    let mut fastest = Duration::MAX;
    let mut said = String::new();
    // A busy machine may take its time with one of them.
    for _ in 0..5 {
        let began = Instant::now();
        let (got, head, body) = send(fake, request()).await;
        fastest = fastest.min(began.elapsed());
        message_in(&body).clone_into(&mut said);
        assert_eq!(got.as_u16(), status, "{name}: {body}");
        assert!(!body.to_string().contains(SECRET), "{name}: {body}");
        assert!(head.headers().contains_key("x-request-id"), "{name}");
        bad::plain(name, &said);
    }
    assert!(fastest < AT_ONCE, "{name}: {fastest:?}");
    let (next, _, body) = send(fake, post(OPENAI, r#"{"input": "w1"}"#)).await;
    assert_eq!(next, StatusCode::OK, "after {name}: {body}");
    said
}

/// The good body of each route, with the field that has its texts.
fn good() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (OPENAI, json!({ "input": SECRET }), "input"),
        ("/embeddings", json!({ "input": SECRET }), "input"),
        ("/embed", json!({ "inputs": SECRET }), "inputs"),
        ("/embed_all", json!({ "inputs": SECRET }), "inputs"),
        ("/embed_sparse", json!({ "inputs": SECRET }), "inputs"),
        ("/rerank", json!({ "query": SECRET, "texts": [SECRET] }), "texts"),
        ("/v1/rerank", json!({ "query": SECRET, "documents": [SECRET] }), "documents"),
        ("/v2/rerank", json!({ "query": SECRET, "documents": [SECRET] }), "documents"),
        ("/predict", json!({ "inputs": SECRET }), "inputs"),
        ("/similarity", json!({ "inputs": { "source_sentence": SECRET, "sentences": [SECRET] } }), "inputs"),
        ("/tokenize", json!({ "inputs": SECRET }), "inputs"),
        ("/decode", json!({ "ids": [[4]] }), "ids"),
        (ENCODE, json!({ "items": [{ "id": SECRET, "text": SECRET }] }), "items"),
        (SCORE, json!({ "query": { "text": SECRET }, "items": [{ "id": SECRET, "text": SECRET }] }), "items"),
    ]
}

#[tokio::test]
async fn what_is_no_body_of_a_route_is_refused_on_every_route() {
    let fake = all();
    let mut count = 0;
    for (path, good, field) in good() {
        assert_eq!(send(&fake, post(path, good.to_string())).await.0, StatusCode::OK, "{path}");
        let mut missing = good.clone();
        missing.as_object_mut().unwrap().remove(field);
        let with = |value: Value| {
            let mut body = good.clone();
            body[field] = value;
            body.to_string()
        };
        let rows = [
            ("nothing", String::new()),
            ("half a body", good.to_string()[..good.to_string().len() - 1].to_owned()),
            ("something after it", format!("{good} {SECRET}")),
            ("words", SECRET.to_owned()),
            ("an array", json!([SECRET]).to_string()),
            ("a string", json!(SECRET).to_string()),
            ("null", "null".to_owned()),
            ("no field", missing.to_string()),
            ("null in the field", with(Value::Null)),
            ("a number in the field", with(json!(5))),
            ("true in the field", with(json!(true))),
            ("an object in the field", with(json!({ SECRET: 1 }))),
            ("nothing in the field", with(json!([]))),
            ("null in the list", with(json!([null]))),
            ("an object in the list", with(json!([{ SECRET: SECRET }]))),
            ("a list of lists of lists", with(json!([[[SECRET]]]))),
            ("a lone surrogate", format!(r#"{{"{field}": "\ud800"}}"#)),
            ("very deep", format!(r#"{{"{field}": {}"#, "[".repeat(10_000))),
        ];
        for (name, body) in rows {
            let name = format!("{path} with {name}");
            refused(&fake, &name, || post(path, body.clone()), 400).await;
            count += 1;
        }
    }
    assert!(count >= 80, "{count}");
}

/// A route, a field, and wrong values of it.
type Wrong = (&'static str, &'static str, Vec<Value>);

/// Asserts that each value is refused, and that the message names its field.
async fn refused_by_name(fake: &Fake, rows: impl IntoIterator<Item = Wrong>) {
    for (path, field, values) in rows {
        let (_, good, _) = good().into_iter().find(|(good, ..)| *good == path).unwrap();
        for value in values {
            let mut body = good.clone();
            body[field] = value.clone();
            let name = format!("{path} with {field} {value}");
            let said = refused(fake, &name, || post(path, body.to_string()), 400).await;
            let named = ["prompt", "cut", "query"].iter().any(|word| said.contains(word)) || said.contains(field);
            assert!(named, "{name}: {said}");
        }
    }
}

#[tokio::test]
async fn a_field_of_another_server_that_would_change_the_answer_is_refused_by_its_name() {
    let fake = all();
    let rows = [
        (OPENAI, "output_dtype", vec![json!("int8"), json!(SECRET), json!(8)]),
        (OPENAI, "embedding_type", vec![json!("binary"), json!(["float", "ubinary"])]),
        (OPENAI, "precision", vec![json!("uint8")]),
        (OPENAI, "endianness", vec![json!("big")]),
        (OPENAI, "late_chunking", vec![json!(true)]),
        (OPENAI, "instruction", vec![json!(SECRET)]),
        (OPENAI, "add_special_tokens", vec![json!(false)]),
        (OPENAI, "truncate_prompt_tokens", vec![json!(3), json!(-1)]),
        (OPENAI, "truncation_direction", vec![json!("left")]),
        ("/embed", "parameters", vec![json!({ "normalize": false }), json!(SECRET)]),
        ("/embed_sparse", "modality", vec![json!("image")]),
        ("/rerank", "max_tokens_per_doc", vec![json!(5)]),
        ("/v1/rerank", "rank_fields", vec![json!([SECRET]), json!(["title", "text"])]),
        ("/v1/rerank", "truncation_side", vec![json!("left")]),
        ("/v1/rerank", "return_embeddings", vec![json!(true)]),
        ("/predict", "prompt_name", vec![json!(SECRET)]),
        ("/predict", "top_k", vec![json!(1)]),
    ];
    refused_by_name(&fake, rows).await;
}

#[tokio::test]
async fn a_wrong_setting_is_refused_by_its_name() {
    let fake = all();
    let rows = [
        (OPENAI, "encoding_format", vec![json!(5), json!(SECRET), json!([SECRET])]),
        (OPENAI, "dimensions", vec![json!(0), json!(-1), json!(1.5), json!(SECRET), json!(4), json!(1e300)]),
        (OPENAI, "truncate", vec![json!(1), json!(SECRET)]),
        (OPENAI, "normalize", vec![json!("true"), json!([])]),
        (OPENAI, "prompt_name", vec![json!(SECRET), json!(1)]),
        (OPENAI, "prompt", vec![json!(1), json!([SECRET])]),
        (OPENAI, "model", vec![json!(1), json!([SECRET])]),
        ("/embed", "truncate", vec![json!(SECRET)]),
        ("/embed", "truncation_direction", vec![json!("left"), json!(SECRET), json!(1)]),
        ("/embed", "dimensions", vec![json!(99)]),
        ("/rerank", "query", vec![json!(""), json!([SECRET]), Value::Null]),
        ("/rerank", "raw_scores", vec![json!(SECRET), json!(0)]),
        ("/rerank", "return_text", vec![json!(SECRET)]),
        ("/v1/rerank", "query", vec![json!(""), json!(1)]),
        ("/v1/rerank", "top_n", vec![json!(-1), json!(SECRET), json!(0.5)]),
        ("/v1/rerank", "return_documents", vec![json!(SECRET)]),
        ("/predict", "parameters", vec![json!(SECRET), json!({ "function_to_apply": SECRET }), json!({ "top_k": -1 })]),
        ("/similarity", "parameters", vec![json!(SECRET), json!({ "prompt_name": SECRET })]),
        ("/tokenize", "add_special_tokens", vec![json!(SECRET), json!(1)]),
        ("/tokenize", "prompt_name", vec![json!(SECRET)]),
        ("/decode", "skip_special_tokens", vec![json!(SECRET)]),
        (ENCODE, "params", vec![json!(SECRET), json!([SECRET]), json!({ "instruction": [SECRET] })]),
        (ENCODE, "params", vec![json!({ "output_types": [] }), json!({ "output_types": [SECRET, "dense"] })]),
        (ENCODE, "params", vec![json!({ "output_types": SECRET }), json!({ "output_types": ["score"] })]),
        (ENCODE, "params", vec![json!({ "output_dtype": SECRET }), json!({ "output_dtype": 16 })]),
        (ENCODE, "params", vec![json!({ "options": [SECRET] }), json!({ "options": { SECRET: SECRET } })]),
        (
            ENCODE,
            "params",
            vec![json!({ "options": { "is_query": SECRET } }), json!({ "options": { "normalize": 1 } })],
        ),
        (ENCODE, "params", vec![json!({ "options": { "overflow_policy": SECRET } })]),
        (ENCODE, "params", vec![json!({ "options": { "profile": SECRET } }), json!({ "options": { "muvera": {} } })]),
        (
            ENCODE,
            "items",
            vec![json!([{ "id": 5, "text": SECRET }]), json!([{ "text": null }]), json!([[SECRET, SECRET]])],
        ),
        (ENCODE, "items", vec![json!([{ "text": "" }]), json!([{ "text": "w1", "images": [{ "data": SECRET }] }])]),
        (SCORE, "query", vec![json!(SECRET), json!({}), json!({ "text": "" }), json!([SECRET]), Value::Null]),
        (SCORE, "instruction", vec![json!(1)]),
        (SCORE, "options", vec![json!(SECRET), json!({ SECRET: 1 }), json!({ "normalize": true })]),
    ];
    refused_by_name(&fake, rows).await;
}

#[tokio::test]
async fn names_of_other_servers_mean_what_they_mean_there() {
    let fake = all();
    let with = |path: &str, field: &str, value: &Value| {
        let (_, mut body, _) = good().into_iter().find(|(good, ..)| *good == path).unwrap();
        body[field] = value.clone();
        post(path, body.to_string())
    };
    let names = [
        (OPENAI, "dimensions", &["output_dimension", "truncate_dim"][..], json!(2)),
        (OPENAI, "normalize", &["normalized", "normalize_embeddings"], json!(true)),
        (OPENAI, "truncate", &["truncation"], json!(true)),
        ("/embed", "dimensions", &["truncate_dim"], json!(2)),
        ("/embed", "normalize", &["normalize_embeddings"], json!(true)),
        ("/v1/rerank", "top_n", &["top_k"], json!(0)),
        ("/v1/rerank", "truncate", &["truncation"], json!(true)),
    ];
    for (path, own, others, value) in names {
        let (status, _, expected) = send(&fake, with(path, own, &value)).await;
        assert_eq!(status, StatusCode::OK, "{path} {own}: {expected}");
        for other in others {
            let (status, _, mut answer) = send(&fake, with(path, other, &value)).await;
            assert_eq!(status, StatusCode::OK, "{path} {other}: {answer}");
            if let Some(id) = expected.get("id") {
                answer["id"] = id.clone();
            }
            assert_eq!(answer, expected, "{path} {other}");
        }
    }
    let usual = [
        (OPENAI, "output_dtype", json!("float")),
        (OPENAI, "embedding_type", json!(["float"])),
        (OPENAI, "precision", json!("FLOAT32")),
        (OPENAI, "late_chunking", json!(false)),
        // The model takes all texts alike.
        (OPENAI, "input_type", json!("query")),
        (OPENAI, "task", json!("retrieval.passage")),
        (OPENAI, "user", json!(SECRET)),
        (OPENAI, "priority", json!(1)),
        ("/embed", "parameters", json!({})),
        ("/v1/rerank", "rank_fields", json!(["text"])),
        ("/v1/rerank", "max_chunks_per_doc", Value::Null),
    ];
    for (path, field, value) in usual {
        let (status, _, body) = send(&fake, with(path, field, &value)).await;
        assert_eq!(status, StatusCode::OK, "{path} {field} {value}: {body}");
    }
}

#[tokio::test]
async fn a_kind_of_text_is_refused_where_the_model_has_prompts() {
    let fake = Fake::late("");
    for field in ["input_type", "task"] {
        let body = |kind: Value| json!({ "inputs": "w1", field: kind }).to_string();
        assert_eq!(send(&fake, post("/embed_all", body(Value::Null))).await.0, StatusCode::OK);
        let (status, _, answer) = send(&fake, post("/embed_all", body(json!("query")))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(message_in(&answer).contains("prompt_name"), "{answer}");
    }
}

#[tokio::test]
async fn scores_of_rerank_are_raw_where_that_is_asked_for() {
    let fake = all();
    let body = |raw: bool| json!({ "query": "w1", "documents": ["w2"], "raw_scores": raw }).to_string();
    let score =
        async |raw| send(&fake, post("/v1/rerank", body(raw))).await.2["results"][0]["relevance_score"].as_f64();
    let (shown, raw) = (score(false).await.unwrap(), score(true).await.unwrap());
    assert!((shown - 1.0 / (1.0 + (-raw).exp())).abs() < 1e-6, "{shown} of {raw}");
}

#[tokio::test]
async fn a_request_around_the_body_that_is_wrong_is_refused() {
    let fake = all();
    let body = || Body::from(json!({ "input": SECRET }).to_string());
    let request = |kind: &str, encoding: Option<&str>, path: &str| {
        let request = Request::post(path).header("content-type", kind);
        let request =
            if let Some(encoding) = encoding { request.header("content-encoding", encoding) } else { request };
        request.body(body()).unwrap()
    };
    let rows = [
        ("a form", "application/x-www-form-urlencoded", None, OPENAI, 415),
        ("plain text", "text/plain", None, OPENAI, 415),
        ("msgpack", "application/msgpack", None, "/embed", 415),
        ("a compressed body", "application/json", Some("gzip"), OPENAI, 415),
        ("another compression", "application/json", Some(SECRET), "/rerank", 415),
        ("no such route", "application/json", None, "/v1/hunter2", 404),
        ("a route of chats", "application/json", None, "/v1/chat/completions", 404),
        ("a slash at the end", "application/json", None, "/embed/", 404),
        ("another case", "application/json", None, "/EMBED", 404),
        ("posting to a probe", "application/json", None, "/healthz", 405),
        ("posting to the models", "application/json", None, "/v1/models", 405),
        ("tensors for a model", "application/json", None, "/v2/models/tiny/infer", 405),
        ("another model's vectors", "application/json", None, "/v1/encode/hunter2", 404),
        ("another model's scores", "application/json", None, "/v1/score/tiny/hunter2", 404),
        ("no model", "application/json", None, "/v1/encode", 404),
    ];
    for (name, kind, encoding, path, status) in rows {
        refused(&fake, name, || request(kind, encoding, path), status).await;
    }
    let model = json!({ "input": "w1", "model": SECRET }).to_string();
    refused(&fake, "another model", || post(OPENAI, model.clone()), 404).await;
    let long = json!({ "input": format!("{SECRET} ").repeat(50) }).to_string();
    refused(&fake, "a long text", || post(OPENAI, long.clone()), 400).await;
    let many = json!({ "inputs": vec![SECRET; 257] }).to_string();
    refused(&fake, "many texts", || post("/embed", many.clone()), 422).await;
    let invalid = b"{\"input\": \"\xff\xfe\"}".to_vec();
    refused(&fake, "not UTF-8", || post(OPENAI, invalid.clone()), 400).await;
    let twice = r#"{"input": "w1", "input": "hunter2"}"#;
    refused(&fake, "a field twice", || post(OPENAI, twice), 400).await;
}
