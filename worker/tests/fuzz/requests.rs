//! Requests of random bytes, and good ones that were changed.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use belfry_worker::engine::Output;
use belfry_worker::http::openapi::DOCUMENT;
use belfry_worker::http::router;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::bad;
use crate::cases::{Cases, LONG};
use crate::client::{ENCODE, OPENAI, SCORE, message_in, path_of, post, send};
use crate::random::{Random, SECRET, mutate, spoil};
use crate::support::Fake;

/// A mutated body has at most about this many bytes.
const SIZE: usize = 100_000;

/// A worker, the good requests of its routes, and its answer to one of them.
struct Target {
    fake: Fake,
    good: Vec<(String, Value)>,
    wanted: Value,
}

impl Target {
    async fn of<const N: usize>(outputs: [Output; N]) -> Self {
        let fake = Fake::giving(outputs, "--accept-token-ids");
        let mut good = Vec::new();
        for (path, body) in bodies() {
            // What the fake has no output for is refused.
            if send(&fake, post(&path, body.to_string())).await.0 == 200 {
                good.push((path, body));
            }
        }
        let wanted = send(&fake, post(OPENAI, r#"{"input": "w1 w2"}"#)).await.2;
        Self { fake, good, wanted }
    }

    /// Models of each kind, which together answer every good request.
    async fn all() -> Vec<Self> {
        let every = [Output::Dense, Output::Sparse, Output::MultiVector, Output::Score, Output::Classes];
        let all = vec![
            Self::of(every).await,
            Self::of([Output::Dense]).await,
            Self::of([Output::Sparse]).await,
            Self::of([Output::Classes]).await,
        ];
        for (path, body) in bodies() {
            let answers = |target: &Self| target.good.contains(&(path.clone(), body.clone()));
            assert!(all.iter().any(answers), "no model answers {path} {body}");
        }
        all
    }

    /// Sends a request, and asserts that its answer is good, or one plain refusal, and that a good request has the same answer as ever.
    async fn ask(&self, request: Request<Body>) {
        let answer = router(Arc::clone(&self.fake.app)).oneshot(request);
        let answer = tokio::time::timeout(LONG, answer).await.expect("no answer in time");
        let (head, body) = answer.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let status = head.status.as_u16();
        if status != 200 {
            assert!([400, 404, 413, 415, 422].contains(&status), "{status}: {}", String::from_utf8_lossy(&bytes));
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(!body.to_string().contains(SECRET), "{body}");
            bad::plain("a refusal", message_in(&body));
        }
        let (_, _, body) = send(&self.fake, post(OPENAI, r#"{"input": "w1 w2"}"#)).await;
        assert_eq!(body, self.wanted);
    }
}

/// The path of each route that takes a body, and good bodies of it.
fn bodies() -> Vec<(String, Value)> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let example = |(path, operations): (&String, &Value)| {
        let body = &operations["post"]["requestBody"]["content"]["application/json"]["example"];
        (!body.is_null()).then(|| (path_of(path), body.clone()))
    };
    let options =
        json!({ "is_query": true, "normalize": false, "overflow_policy": "truncate_text", "profile": "default" });
    let encode = json!({
        "items": [{ "id": "a", "text": SECRET, "metadata": {} }],
        "params": {
            "output_types": ["dense", "sparse", "multivector"], "output_dtype": "int8", "instruction": "w1", "options": options,
        },
    });
    let score = json!({
        "query": { "id": "q", "text": SECRET }, "items": [{ "text": SECRET }], "instruction": "w2",
        "options": { "overflow_policy": "error" },
    });
    let documents = json!({ "query": SECRET, "documents": [{ "text": SECRET }], "top_n": 1, "return_documents": true });
    let texts =
        json!({ "query": SECRET, "texts": [SECRET], "raw_scores": true, "return_text": true, "truncate": true });
    let predict = json!({ "inputs": [["w1", SECRET]], "parameters": { "top_k": 1, "function_to_apply": "sigmoid" } });
    let more = [
        (OPENAI, json!({ "input": [[2, 4, 3], [2, 3]], "dimensions": 2, "encoding_format": "base64", "user": SECRET })),
        (OPENAI, json!({ "input": SECRET, "prompt": "w1 ", "truncate": true, "normalize": false, "model": "tiny" })),
        ("/embed", json!({ "inputs": [SECRET], "truncate": true, "truncation_direction": "right", "dimensions": 1 })),
        ("/", json!({ "inputs": { "source_sentence": SECRET, "sentences": [SECRET, "w1"] } })),
        ("/", texts.clone()),
        ("/", json!({ "inputs": [SECRET], "parameters": { "top_k": 1 } })),
        ("/rerank", texts),
        ("/v1/rerank", documents),
        ("/predict", predict),
        ("/decode", json!({ "ids": [2, 4, 3], "skip_special_tokens": false })),
        ("/tokenize", json!({ "inputs": [SECRET, "w1"], "add_special_tokens": false })),
        ("/v1/feedback", json!({ "request_id": "a1", "rating": "neutral", "comment": SECRET })),
        (ENCODE, encode),
        (SCORE, score),
    ];
    paths.filter_map(example).chain(more.map(|(path, body)| (path.to_owned(), body))).collect()
}

/// Names of fields, so that a mutated body gets some that mean something.
fn fields(bodies: &[(String, Value)]) -> Vec<String> {
    let mut names = vec![SECRET.to_owned(), "images".to_owned(), "prompt_name".to_owned(), "top_n".to_owned()];
    bodies.iter().for_each(|(_, body)| names_in(body, &mut names));
    names.sort();
    names.dedup();
    names
}

/// Adds the names of a document's fields.
pub fn names_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| names_in(value, names)),
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            names.push(name.clone());
            names_in(value, names);
        }),
        _ => {}
    }
}

fn request(path: &str, kind: Option<&str>, body: Vec<u8>) -> Request<Body> {
    let request = Request::post(path);
    let request = match kind {
        Some(kind) => request.header("content-type", kind),
        None => request,
    };
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn any_bytes_get_one_plain_answer() {
    let (targets, bodies) = (Target::all().await, bodies());
    let mut cases = Cases::start();
    while let Some((mut case, mut random)) = cases.next() {
        let (path, _) = &bodies[random.below(bodies.len())];
        let most = [4, 64, 4096, 100_000][random.below(4)];
        let bytes = random.bytes(most);
        let kind = [Some("application/json"), Some("application/msgpack"), None, Some("text/plain")][random.below(4)];
        case.was(path, &bytes);
        targets[random.below(targets.len())].ask(request(path, kind, bytes)).await;
    }
}

#[tokio::test]
async fn mutated_bodies_get_one_plain_answer() {
    let targets = Target::all().await;
    let fields = fields(&bodies());
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut cases = Cases::start();
    while let Some((mut case, mut random)) = cases.next() {
        let target = &targets[random.below(targets.len())];
        let (path, mut body) = target.good[random.below(target.good.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut body, &fields, &mut random);
            if body.to_string().len() > SIZE {
                break;
            }
        }
        let (kind, bytes) = written(&path, &body, &mut random);
        case.was(&path, &bytes);
        target.ask(request(&path, Some(kind), bytes)).await;
    }
}

/// A body in a format that its route takes, and with changed bytes now and then.
fn written(path: &str, body: &Value, random: &mut Random) -> (&'static str, Vec<u8>) {
    let msgpack = random.once_in(3) && (path == ENCODE || path == SCORE);
    let mut bytes = if msgpack { rmp_serde::to_vec_named(body).unwrap() } else { body.to_string().into_bytes() };
    if random.once_in(3) {
        spoil(&mut bytes, random);
    }
    (if msgpack { "application/msgpack" } else { "application/json" }, bytes)
}
