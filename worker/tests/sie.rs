//! The routes of SIE: what they answer in msgpack and in JSON, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "support/bad.rs"]
mod bad;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::engine::Output;
use belfry_worker::http::router;
use client::{ENCODE, SCORE, TEI, fails, message_in, post, send};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{Fake, Next};
use tower::ServiceExt;

const MSGPACK: &str = "application/msgpack";

fn all(flags: &str) -> Fake {
    Fake::giving([Output::Dense, Output::Sparse, Output::MultiVector], flags)
}

/// A request in JSON whose answer is JSON too.
fn json_post(path: &str, body: &Value) -> Request<Body> {
    let mut request = post(path, body.to_string());
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    request
}

fn packed(path: &str, body: Vec<u8>) -> Request<Body> {
    Request::post(path).header("content-type", MSGPACK).header("accept", MSGPACK).body(body.into()).unwrap()
}

fn pack(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

async fn bytes(fake: &Fake, request: Request<Body>) -> (StatusCode, String, Vec<u8>) {
    let (head, body) = router(Arc::clone(&fake.app)).oneshot(request).await.unwrap().into_parts();
    let kind = head.headers["content-type"].to_str().unwrap().to_owned();
    (head.status, kind, body.collect().await.unwrap().to_bytes().to_vec())
}

/// An array as it comes in msgpack: a map with bytes for keys.
#[derive(Debug, PartialEq)]
struct Packed {
    dtype: String,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Packed;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Packed, A::Error> {
                let mut packed = Packed { dtype: String::new(), shape: vec![], data: vec![] };
                while let Some(key) = map.next_key::<Raw>()? {
                    match key.0.as_slice() {
                        b"nd" => assert!(map.next_value::<bool>()?),
                        b"type" => packed.dtype = map.next_value()?,
                        b"kind" => assert!(map.next_value::<Raw>()?.0.is_empty()),
                        b"shape" => packed.shape = map.next_value()?,
                        b"data" => packed.data = map.next_value::<Raw>()?.0,
                        other => panic!("{other:?}"),
                    }
                }
                Ok(packed)
            }
        }
        from.deserialize_map(Visitor)
    }
}

struct Raw(Vec<u8>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Visitor)
    }
}

#[derive(Debug, Deserialize)]
struct Encoded {
    model: String,
    items: Vec<Item>,
    timing: BTreeMap<String, f64>,
    usage: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct Item {
    id: Option<String>,
    dense: Option<Vector>,
    sparse: Option<Vector>,
    multivector: Option<Vector>,
}

#[derive(Debug, Deserialize)]
struct Vector {
    dtype: String,
    values: Packed,
    indices: Option<Packed>,
    #[serde(default)]
    dims: usize,
    #[serde(default)]
    token_dims: usize,
    #[serde(default)]
    num_tokens: usize,
}

fn floats(packed: &Packed) -> Vec<f32> {
    assert_eq!(packed.dtype, "<f4");
    packed.data.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[tokio::test]
async fn everything_that_is_asked_for_comes_from_one_pass() {
    let fake = all("");
    let body = json!({
        "items": [{ "id": "one", "text": "w0 w1" }, { "text": "w2", "metadata": { "k": 1 } }],
        "params": { "output_types": ["dense", "sparse", "multivector"] },
    });
    let (status, kind, answer) = bytes(&fake, packed(ENCODE, pack(&body))).await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, MSGPACK));
    let Encoded { model, items, timing, usage } = rmp_serde::from_slice(&answer).unwrap();
    assert_eq!((model.as_str(), usage["input_tokens"]), ("tiny", 7));
    assert!(["total_ms", "queue_ms", "tokenization_ms", "inference_ms"].iter().all(|name| timing[*name] >= 0.0));
    assert_eq!((items[0].id.as_deref(), items[1].id.as_deref()), (Some("one"), None));
    // [CLS] w0 w1 [SEP] has 4 tokens whose ids add up to 14.
    let Item { dense, sparse, multivector, .. } = &items[0];
    let (dense, sparse, many) = (dense.as_ref().unwrap(), sparse.as_ref().unwrap(), multivector.as_ref().unwrap());
    assert_eq!((dense.dims, dense.dtype.as_str(), dense.values.shape.as_slice()), (3, "float32", &[3][..]));
    let vector = floats(&dense.values);
    assert!(
        (vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6 && (vector[1] / vector[0] - 3.5).abs() < 1e-6
    );
    let indices = sparse.indices.as_ref().unwrap();
    assert_eq!((indices.dtype.as_str(), indices.data.as_slice()), ("<i4", &[7, 0, 0, 0][..]));
    assert_eq!((sparse.dims, floats(&sparse.values)), (14, vec![4.0]));
    assert_eq!((many.token_dims, many.num_tokens, many.values.shape.as_slice()), (3, 2, &[2, 3][..]));
    assert_eq!(floats(&many.values), [4.0, 14.0, 1.0, 4.0, 14.0, 1.0]);
    assert_eq!(fake.metric("inference_tokens_total{type=\"input\"}"), Some(7.0), "each text went through once");
    assert_eq!(fake.metric(r#"inference_requests_total{endpoint="/v1/encode",reason="ok",status="200"}"#), Some(1.0));
}

#[tokio::test]
async fn json_has_the_same_numbers_and_dense_alone_by_default() {
    let fake = all("");
    let body = json!({ "items": [{ "text": "w0 w1" }] });
    let (status, _, answer) = send(&fake, json_post(ENCODE, &body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let item = &answer["items"][0];
    assert_eq!((&item["dense"]["dims"], &item["dense"]["dtype"]), (&json!(3), &json!("float32")));
    assert_eq!(item.as_object().unwrap().len(), 1, "{item}");
    let (_, _, plain) = send(&fake, post(TEI, r#"{"inputs": "w0 w1"}"#)).await;
    assert_eq!(item["dense"]["values"], plain[0]);
    // Without a word about the answer it is msgpack.
    assert_eq!(bytes(&fake, post(ENCODE, body.to_string())).await.1, MSGPACK);
    assert_eq!(bytes(&fake, packed(ENCODE, pack(&body))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn numbers_come_in_the_type_that_is_asked_for() {
    let fake = all("");
    let kinds = [
        ("float32", "float32", json!([4.0, 14.0, 1.0])),
        ("float16", "float16", json!([4.0, 14.0, 1.0])),
        ("int8", "int8", json!([36, 127, 9])),
        ("uint8", "uint8", json!([59, 255, 0])),
        ("binary", "binary", json!([224])),
        ("ubinary", "binary", json!([224])),
    ];
    for (asked, named, values) in kinds {
        let params = json!({ "output_dtype": asked, "output_types": ["dense", "sparse", "multivector"],
                             "options": { "normalize": false, "profile": "default" } });
        let body = json!({ "items": [{ "text": "w0 w1" }], "params": params });
        let (status, _, answer) = send(&fake, json_post(ENCODE, &body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let item = &answer["items"][0];
        assert_eq!(item["dense"], json!({ "dims": 3, "dtype": named, "values": values }), "{asked}");
        assert_eq!(item["multivector"]["values"], json!([values, values]), "{asked}");
        // Weights of words stay floats.
        let dtype = if asked == "float16" { "float16" } else { "float32" };
        assert_eq!(item["sparse"], json!({ "dims": 14, "dtype": dtype, "indices": [7], "values": [4.0] }));
    }
}

#[tokio::test]
async fn an_output_that_the_model_does_not_have_is_refused_with_those_that_it_has() {
    let body = |kinds: Value| json!({ "items": [{ "text": "w1" }], "params": { "output_types": kinds } }).to_string();
    let (_, message) =
        fails(&Fake::ready(""), post(ENCODE, body(json!(["dense", "sparse"]))), 400, "invalid_input").await;
    assert_eq!(message, "params.output_types asks for sparse; this model has: dense");
    let (_, message) = fails(&Fake::scoring(), post(ENCODE, body(json!(["dense"]))), 400, "invalid_input").await;
    assert!(message.starts_with("this model has no dense output"), "{message}");
    let score = json!({ "query": { "text": "w0" }, "items": [{ "text": "w1" }] }).to_string();
    let (_, message) = fails(&Fake::ready(""), post(SCORE, score), 400, "invalid_input").await;
    assert_eq!(message, "this route answers with score output, and this model has only: dense");
}

#[tokio::test]
async fn the_path_names_the_model_also_with_slashes_and_escapes() {
    let body = json!({ "items": [{ "text": "w1" }] }).to_string();
    let fake = Fake::ready("--served-name BAAI/bge-m3");
    for path in ["/v1/encode/BAAI/bge-m3", "/v1/encode/BAAI%2Fbge-m3"] {
        assert_eq!(send(&fake, post(path, body.clone())).await.0, StatusCode::OK, "{path}");
    }
    for path in ["/v1/encode/bge-m3", "/v1/encode/BAAI/bge-m3/", "/v1/encode/%FF", "/v1/score/BAAI"] {
        let (status, _, answer) = send(&fake, post(path, body.clone())).await;
        assert_eq!((status, &answer["detail"]["code"]), (StatusCode::NOT_FOUND, &json!("MODEL_NOT_FOUND")), "{path}");
        assert_eq!(message_in(&answer), "this worker serves BAAI/bge-m3, and no other model");
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_unless_the_request_wants_it_cut() {
    let long = "w1 ".repeat(20);
    let body = |policy: &str| {
        json!({ "items": [{ "text": long }], "params": { "options": { "overflow_policy": policy } } }).to_string()
    };
    for policy in ["default", "error"] {
        let (_, message) = fails(&Fake::ready(""), post(ENCODE, body(policy)), 400, "input_too_long").await;
        assert_eq!(message, "input 0 is 22 tokens long; the model takes at most 8");
    }
    assert_eq!(send(&Fake::ready(""), post(ENCODE, body("truncate_text"))).await.0, StatusCode::OK);
    let score = |options: Value| {
        json!({ "query": { "text": "w1" }, "items": [{ "text": long }], "options": options }).to_string()
    };
    assert_eq!(send(&Fake::scoring(), post(SCORE, score(json!({})))).await.0, StatusCode::OK);
    let refused = score(json!({ "overflow_policy": "error" }));
    fails(&Fake::scoring(), post(SCORE, refused), 400, "input_too_long").await;
}

#[tokio::test]
async fn an_instruction_goes_before_each_text() {
    let fake = Fake::ready("");
    let ask = async |params: Value, text: &str| {
        let body = json!({ "items": [{ "text": text }], "params": params });
        send(&fake, json_post(ENCODE, &body)).await.2["items"][0]["dense"]["values"].clone()
    };
    let plain = json!({});
    assert_eq!(ask(json!({ "instruction": "w5" }), "w1").await, ask(plain.clone(), "w5 w1").await);
    assert_eq!(ask(json!({ "instruction": "" }), "w1").await, ask(plain.clone(), "w1").await);
    // This model has no prompt for queries or documents.
    for query in [true, false] {
        assert_eq!(ask(json!({ "options": { "is_query": query } }), "w1").await, ask(plain.clone(), "w1").await);
    }
}

#[tokio::test]
async fn scores_are_sorted_and_have_the_ids_of_their_items() {
    let fake = Fake::scoring();
    let body = json!({
        "query": { "id": "q", "text": "w0" },
        "items": [{ "id": "short", "text": "w1" }, { "text": "w1 w2 w3" }, { "id": "middle", "text": "w1 w2" }],
    });
    let (status, _, answer) = send(&fake, json_post(SCORE, &body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["model"], &answer["query_id"]), (&json!("tiny"), &json!("q")));
    let scores = answer["scores"].as_array().unwrap();
    let order: Vec<_> =
        scores.iter().map(|one| (one["item_id"].as_str().unwrap(), one["rank"].as_u64().unwrap())).collect();
    assert_eq!(order, [("item-1", 0), ("middle", 1), ("short", 2)]);
    let values: Vec<f64> = scores.iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert!(values.is_sorted_by(|one, two| one > two) && values.iter().all(|score| (0.0..=1.0).contains(score)));
    assert!(answer["usage"]["input_tokens"].as_u64().unwrap() > 9);

    let (status, kind, packed_answer) = bytes(&fake, packed(SCORE, pack(&body))).await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, MSGPACK));
    let unpacked: Value = rmp_serde::from_slice(&packed_answer).unwrap();
    assert_eq!((&unpacked["query_id"], &unpacked["usage"]), (&answer["query_id"], &answer["usage"]));
    for (one, two) in unpacked["scores"].as_array().unwrap().iter().zip(scores) {
        assert_eq!((&one["item_id"], &one["rank"]), (&two["item_id"], &two["rank"]));
        assert!((one["score"].as_f64().unwrap() - two["score"].as_f64().unwrap()).abs() < 1e-6);
    }
    let nameless = json!({ "query": { "text": "w0" }, "items": [{ "text": "w1" }] });
    assert_eq!(send(&fake, json_post(SCORE, &nameless)).await.2["query_id"], Value::Null);
}

#[tokio::test]
async fn msgpack_that_is_wrong_has_one_clear_answer() {
    let fake = all("");
    let good = pack(&json!({ "items": [{ "text": "w1" }] }));
    let text_in_a_list = [b"\x81\xa5items\x91\x81\xa4text".as_slice(), b"\xa4\xff\xfe\xfd\xfc"].concat();
    let bytes_for_text = [b"\x81\xa5items\x91\x81\xa4text".as_slice(), b"\xc4\x02\xff\xfe"].concat();
    let deep = [b"\x82\xa5items\x91\x81\xa4text\xa2w1\xa1x".as_slice(), &[0x91; 100_000]].concat();
    let huge_list = b"\x81\xa5items\xdd\xff\xff\xff\xff\x80".to_vec();
    let huge_text = b"\x81\xa5items\x91\x81\xa4text\xdb\xff\xff\xff\xffw1".to_vec();
    let many = [b"\x81\xa5items\xdd\x00\x02\x00\x00".as_slice(), &[0x80; 0x2_0000]].concat();
    let rows = [
        ("nothing", Vec::new(), "not a map of msgpack"),
        ("JSON", br#"{"items": []}"#.to_vec(), "not a map of msgpack"),
        ("an array", b"\x91\x80".to_vec(), "not a map of msgpack"),
        ("an early end", good[..good.len() - 1].to_vec(), "ends too early"),
        ("something after it", [good.as_slice(), b"hunter2"].concat(), "follows its end"),
        ("a text that is not UTF-8", text_in_a_list, "UTF-8"),
        ("bytes for a text", bytes_for_text, "items[0].text: expected a string, got bytes"),
        ("deep lists", deep, "64 levels"),
        ("a list without elements", huge_list, "ends too early"),
        ("a text without characters", huge_text, "ends too early"),
        ("very many items", many, "too many inputs"),
        ("a number for a text", pack(&json!({ "items": [{ "text": 5 }] })), "items[0].text: expected a string"),
        (
            "an array for an item",
            pack(&json!({ "items": [["hunter2"]] })),
            "items[0]: expected an object, got an array",
        ),
        (
            "a text for a switch",
            pack(&json!({ "items": [], "params": { "options": { "is_query": "hunter2" } } })),
            "is_query",
        ),
        ("no items", pack(&json!({ "params": {} })), "missing field `items`"),
    ];
    for (name, body, says) in rows {
        let (status, kind, answer) = bytes(&fake, packed(ENCODE, body)).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let message = message_in(&answer);
        let status = status.as_u16();
        assert_eq!(status, if name == "very many items" { 422 } else { 400 }, "{name}: {message}");
        assert_eq!(kind, "application/json");
        assert!(message.contains(says) && !message.contains("hunter2"), "{name}: {message}");
        bad::plain(name, message);
        assert_eq!(bytes(&fake, packed(ENCODE, good.clone())).await.0, StatusCode::OK, "after {name}");
    }
    for kind in ["text/plain", "application/msgpack2", "application/x-protobuf"] {
        let request = Request::post(ENCODE).header("content-type", kind).body(Body::from(good.clone())).unwrap();
        assert_eq!(bytes(&fake, request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
}

#[tokio::test]
async fn a_client_reads_when_to_retry() {
    let fake = Fake::held("--queue-capacity 1");
    let app = router(Arc::clone(&fake.app));
    let body = json!({ "items": [{ "text": "w1" }] }).to_string();
    let running = tokio::spawn(app.clone().oneshot(post(ENCODE, body.clone())));
    support::soon("the first runs", || fake.app.inbox.busy() && fake.app.inbox.depth() == 0).await;
    let waiting = tokio::spawn(app.oneshot(post(ENCODE, body.clone())));
    support::soon("the second waits", || fake.app.inbox.depth() == 1).await;
    let (status, head, answer) = send(&fake, post(ENCODE, body)).await;
    assert_eq!((status.as_u16(), &answer["detail"]["code"]), (429, &json!("QUEUE_FULL")));
    assert!(head.headers().contains_key("retry-after"));
    fake.permit(Next::Answer);
    fake.permit(Next::Fail);
    assert_eq!(running.await.unwrap().unwrap().status(), StatusCode::OK);
    let failed = waiting.await.unwrap().unwrap();
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let answer: Value = serde_json::from_slice(&failed.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(answer["detail"]["code"], "INFERENCE_ERROR");
}

#[tokio::test]
async fn a_model_for_late_interaction_encodes_queries_and_documents_and_scores_items_by_both() {
    let fake = Fake::late("");
    let ask = async |params: Value| {
        let params = json!({ "output_types": ["multivector"], "options": params["options"], "instruction": params["instruction"] });
        let body = json!({ "items": [{ "text": "w0" }], "params": params });
        let (status, _, answer) = send(&fake, json_post(ENCODE, &body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["items"][0]["multivector"]["values"][0].clone()
    };
    // The number of tokens, and the sum of their ids; the prompt of queries is w9.
    assert_eq!(ask(json!({})).await, json!([3.0, 9.0, 1.0]));
    assert_eq!(ask(json!({ "options": { "is_query": false } })).await, json!([3.0, 9.0, 1.0]));
    assert_eq!(ask(json!({ "options": { "is_query": true } })).await, json!([4.0, 22.0, 1.0]));
    assert_eq!(ask(json!({ "options": { "is_query": true }, "instruction": "w1" })).await, json!([4.0, 14.0, 1.0]));
    let score = json!({ "query": { "text": "w0" }, "items": [{ "text": "w0" }, { "id": "two", "text": "w1 w2" }] });
    let (status, _, answer) = send(&fake, json_post(SCORE, &score)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let best = 2.0 * (4.0 * 4.0 + 22.0 * 16.0 + 1.0);
    assert_eq!(answer["scores"][0], json!({ "item_id": "two", "score": best, "rank": 0 }));
    let mut with = score.clone();
    with["instruction"] = json!("find");
    let (_, message) = fails(&fake, post(SCORE, with.to_string()), 400, "invalid_input").await;
    assert!(message.starts_with("instruction: this model has prompts of its own"), "{message}");
}
