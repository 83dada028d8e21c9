//! Every route that answers, on a fake engine and without a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "http/measured.rs"]
mod measured;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use belfry_worker::engine::Output;
use belfry_worker::lifecycle::State;
use belfry_worker::metrics::Format;
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
    fake.app.metrics.render(Format::Plain).unwrap().1.lines().count()
}

#[tokio::test]
async fn rerank_answers_in_the_forms_of_its_clients_with_the_best_first() {
    let fake = Fake::giving([Output::Score], "");
    let texts = ["w1", "w1 w2 w3", "w1 w2"];
    let body = json!({ "query": "w0", "texts": texts, "return_text": true }).to_string();
    let (status, head, body) = send(&fake, post("/rerank", body)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let order: Vec<_> = body.as_array().unwrap().iter().map(|rank| rank["index"].as_u64().unwrap()).collect();
    assert_eq!(order, [1, 2, 0]);
    assert_eq!(body[0]["text"], "w1 w2 w3");
    let score = body[0]["score"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&score));
    assert_eq!(head.headers()["x-compute-type"], "gpu");
    assert!(head.headers().contains_key("x-compute-tokens") && head.headers().contains_key("x-total-time"));
    let raw = json!({ "query": "w0", "texts": texts, "raw_scores": true }).to_string();
    let (_, _, body) = send(&fake, post("/rerank", raw)).await;
    // Two special tokens around each, one between, and four words: 7 tokens and more.
    assert!(body[0]["score"].as_f64().unwrap() > 1.0 && body[0].get("text").is_none(), "{body}");

    let body = json!({ "model": "tiny", "query": "w0", "documents": ["w1", { "text": "w1 w2" }], "top_n": 1, "return_documents": true });
    for path in ["/v1/rerank", "/v2/rerank"] {
        let (status, _, body) = send(&fake, post(path, body.to_string())).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let results = body["results"].as_array().unwrap();
        assert_eq!((results.len(), &results[0]["index"]), (1, &json!(1)));
        assert_eq!(results[0]["document"]["text"], "w1 w2");
        assert!((0.0..1.0).contains(&results[0]["relevance_score"].as_f64().unwrap()));
        assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 4);
    }
    let series = r#"inference_requests_total{endpoint="/v1/rerank",reason="ok",status="200"}"#;
    assert_eq!(fake.metric(series), Some(2.0));
}

#[tokio::test]
async fn a_prompt_goes_before_the_query_of_a_request_for_scores() {
    let fake = Fake::scoring();
    let tokens = async |more: serde_json::Value| {
        let mut body = json!({ "query": "w0", "texts": ["w1"], "documents": ["w1"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let jina = send(&fake, post("/v1/rerank", body.to_string())).await.2["usage"]["total_tokens"].as_u64();
        body.as_object_mut().unwrap().remove("documents");
        let (_, head, _) = send(&fake, post("/rerank", body.to_string())).await;
        assert_eq!(jina.unwrap().to_string(), head.headers()["x-compute-tokens"].to_str().unwrap());
        jina.unwrap()
    };
    let alone = tokens(json!({})).await;
    assert_eq!(tokens(json!({ "prompt": "" })).await, alone);
    assert_eq!(tokens(json!({ "prompt": "w2 w3 " })).await, alone + 2);
    for (fake, field, says) in
        [(&fake, "prompt_name", "no prompt of that name"), (&Fake::late(""), "prompt", "of its own")]
    {
        let body = json!({ "query": "w0", "texts": ["w1"], field: "nothing" }).to_string();
        let (status, _, error) = send(fake, post("/rerank", body)).await;
        assert!(status.is_client_error() && error.to_string().contains(says), "{status} {error}");
    }
}

#[tokio::test]
async fn predict_names_labels_for_a_text_a_pair_and_a_batch() {
    let fake = Fake::giving([Output::Classes], "");
    let ask = async |inputs: serde_json::Value| {
        send(&fake, post("/predict", json!({ "inputs": inputs }).to_string())).await.2
    };
    for inputs in [json!("w1"), json!(["w1"]), json!(["w1", "w2"])] {
        let body = ask(inputs.clone()).await;
        let labels: Vec<_> = body.as_array().unwrap().iter().map(|one| one["label"].as_str().unwrap()).collect();
        assert_eq!(labels, ["yes", "no"], "{inputs}");
        let sum: f64 = body.as_array().unwrap().iter().map(|one| one["score"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{body}");
    }
    let body = ask(json!([["w1"], ["w1 w2"]])).await;
    assert_eq!(body.as_array().unwrap().len(), 2);
    assert!(body[0][0]["score"].is_f64(), "{body}");
    let raw = json!({ "inputs": "w1", "raw_scores": true }).to_string();
    assert_eq!(send(&fake, post("/predict", raw)).await.2[0], json!({ "score": 3.0, "label": "yes" }));
}

#[tokio::test]
async fn sparse_token_and_similarity_routes_have_their_servers_shapes() {
    let fake = Fake::giving([Output::Dense, Output::Sparse, Output::MultiVector], "");
    let one = json!({ "inputs": "w1" }).to_string();
    assert_eq!(send(&fake, post("/embed_sparse", one.clone())).await.2, json!([[{ "index": 7, "value": 3.0 }]]));
    assert_eq!(send(&fake, post("/embed_all", one)).await.2, json!([[[3.0, 10.0, 1.0], [3.0, 10.0, 1.0]]]));
    let body = json!({ "inputs": { "source_sentence": "w1", "sentences": ["w1", "w2 w3"] } }).to_string();
    let (_, _, body) = send(&fake, post("/similarity", body)).await;
    assert!((body[0].as_f64().unwrap() - 1.0).abs() < 1e-6 && body[1].as_f64().unwrap() < 1.0, "{body}");
}

/// Vectors of a text are two times its number of tokens, the sum of its ids, and 1.
#[tokio::test]
async fn a_model_for_late_interaction_ranks_by_the_vectors_of_both_texts() {
    let fake = Fake::late("");
    let of = |tokens: f64, ids: f64| [tokens, ids, 1.0];
    // The query is `[CLS] w9 w0 [SEP]`, and documents have no prompt.
    let query = of(4.0, 2.0 + 13.0 + 4.0 + 3.0);
    let score = |document: [f64; 3]| 2.0 * query.iter().zip(document).map(|(a, b)| a * b).sum::<f64>();
    let expected = [score(of(4.0, 2.0 + 5.0 + 6.0 + 3.0)), score(of(3.0, 2.0 + 4.0 + 3.0))];
    let body = json!({ "query": "w0", "texts": ["w0", "w1 w2"], "return_text": true }).to_string();
    let (status, head, ranks) = send(&fake, post("/rerank", body)).await;
    assert_eq!(status, StatusCode::OK, "{ranks}");
    assert_eq!(head.headers()["x-compute-tokens"], "11");
    let first = json!({ "index": 1, "score": expected[0], "text": "w1 w2" });
    assert_eq!(ranks, json!([first, { "index": 0, "score": expected[1], "text": "w0" }]));
    let body = json!({ "query": "w0", "documents": ["w0", "w1 w2"] }).to_string();
    let (_, _, answer) = send(&fake, post("/v1/rerank", body)).await;
    assert_eq!(answer["results"][0], json!({ "index": 1, "relevance_score": expected[0] }));
    let (_, _, models) = send(&fake, Request::get("/models").body(Body::empty()).unwrap()).await;
    assert_eq!(models["data"][0]["capabilities"], json!(["multi-vector", "late-interaction"]));
    let (_, _, vectors) = send(&fake, post("/", r#"{"inputs": "w0"}"#)).await;
    assert_eq!(vectors[0][0], json!([3.0, 9.0, 1.0]), "a document, if nothing is said");
    let (_, _, vectors) = send(&fake, post("/embed_all", r#"{"inputs": "w0", "prompt_name": "query"}"#)).await;
    assert_eq!(vectors[0][0], json!([4.0, 22.0, 1.0]));
    let long = ["w1"; 9].join(" ");
    let (status, _, error) = send(&fake, post("/rerank", json!({ "query": long, "texts": ["w0"] }).to_string())).await;
    assert_eq!((status, &error["param"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("query")), "{error}");
    let (_, _, error) = send(&fake, post("/rerank", json!({ "query": "w0", "texts": ["w0", long] }).to_string())).await;
    assert!(error["error"].as_str().unwrap().starts_with("input 1 is"), "{error}");
    assert_eq!(error["param"], "texts");
}

#[tokio::test]
async fn a_request_of_late_interaction_with_more_texts_than_the_queue_holds_passes_in_parts() {
    let fake = Fake::late("--queue-capacity 16");
    let texts = vec!["w0"; 200];
    let body = json!({ "query": "w0", "texts": texts, "return_text": false }).to_string();
    let (status, _, ranks) = send(&fake, post("/rerank", body)).await;
    assert_eq!((status, ranks.as_array().map(Vec::len)), (StatusCode::OK, Some(200)));
}

/// Every token has the second label, `yes`.
#[tokio::test]
async fn a_model_that_classifies_tokens_answers_with_entities_as_hugging_face_does() {
    let fake = Fake::giving([Output::TokenClasses], "");
    let ask = async |body: serde_json::Value| send(&fake, post("/predict", body.to_string())).await;
    let (status, _, body) = ask(json!({ "inputs": "w0 w1" })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let score = &body[0]["score"];
    assert!((score.as_f64().unwrap() - 0.731_058_6).abs() < 1e-6, "{body}");
    let one = |index: usize, word: &str, start: usize| json!({ "entity": "yes", "score": score, "index": index, "word": word, "start": start, "end": start + 2 });
    assert_eq!(body, json!([one(1, "w0", 0), one(2, "w1", 3)]));
    let simple = json!({ "aggregation_strategy": "simple" });
    for inputs in [json!(["w0 w1", "w2"]), json!([["w0 w1"], ["w2"]])] {
        let (_, _, body) = ask(json!({ "inputs": inputs, "parameters": simple })).await;
        let group = |word: &str, end: usize| json!({ "entity_group": "yes", "score": score, "word": word, "start": 0, "end": end });
        assert_eq!(body, json!([[group("w0 w1", 5)], [group("w2", 2)]]));
    }
    let (_, _, body) = ask(json!({ "inputs": "w0", "parameters": { "ignore_labels": ["yes"] } })).await;
    assert_eq!(body, json!([]));
    let (_, _, body) = send(&fake, post("/", r#"{"inputs": "w0"}"#)).await;
    assert_eq!(body.as_array().unwrap().len(), 1);
    for (wrong, says) in [
        (json!({ "inputs": "w0", "parameters": { "stride": 2 } }), "stride"),
        (json!({ "inputs": ["w0"], "parameters": { "is_split_into_words": true } }), "is_split_into_words"),
        (json!({ "inputs": "w0", "parameters": { "top_k": 1 } }), "top_k"),
        (json!({ "inputs": "w0", "parameters": [] }), "parameters"),
        (json!({ "inputs": "" }), "is empty"),
        (json!({ "inputs": [] }), "is empty"),
        (json!({ "inputs": [1, 2] }), "array"),
        (json!({ "inputs": "w0", "raw_scores": true }), "raw_scores"),
        (json!({ "inputs": [["w0", "w1"]] }), "array"),
        (json!({ "inputs": "w0", "parameters": { "aggregation_strategy": "best" } }), "expected `none`, `simple`"),
        (json!({ "inputs": "w0 w1 w2 w3 w4 w5 w6 w7" }), "at most 8"),
    ] {
        let (status, _, body) = ask(wrong.clone()).await;
        assert!([StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY].contains(&status), "{wrong}: {status}");
        assert!(body["error"].as_str().unwrap().contains(says), "{wrong}: {body}");
    }
    let (status, _, body) = ask(json!({ "inputs": "w0 w1 w2 w3 w4 w5 w6 w7", "truncate": true })).await;
    assert_eq!((status, body.as_array().unwrap().len()), (StatusCode::OK, 6), "the first six words");
    let harmless = json!({ "is_split_into_words": false, "stride": null });
    assert_eq!(ask(json!({ "inputs": "w0", "parameters": harmless })).await.0, StatusCode::OK);
}

#[tokio::test]
async fn tokens_are_shown_and_read_back() {
    let fake = Fake::ready("");
    let (status, _, body) = send(&fake, post("/tokenize", json!({ "inputs": "w0 w1" }).to_string())).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let ids: Vec<_> = body[0].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [2, 4, 5, 3]);
    assert_eq!(body[0][1], json!({ "id": 4, "text": "w0", "special": false, "start": 0, "stop": 2 }));
    assert_eq!(send(&fake, post("/decode", json!({ "ids": ids }).to_string())).await.2, json!(["w0 w1"]));
    let plain = json!({ "inputs": "w0", "add_special_tokens": false }).to_string();
    assert_eq!(send(&fake, post("/tokenize", plain)).await.2[0].as_array().unwrap().len(), 1);
    assert_eq!(send(&fake, post("/decode", r#"{"ids": [99]}"#)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(send(&fake, post("/tokenize", r#"{"inputs": [1]}"#)).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_base_address_answers_with_what_the_model_is_for() {
    let (status, _, body) = send(&Fake::ready(""), post("/", r#"{"inputs": "w1"}"#)).await;
    assert_eq!((status, body.as_array().unwrap().len()), (StatusCode::OK, 1));
    let (status, _, body) = send(&Fake::scoring(), post("/", r#"{"query": "w1", "texts": ["w2"]}"#)).await;
    assert_eq!((status, &body[0]["index"]), (StatusCode::OK, &json!(0)));
    let (status, _, body) = send(&Fake::giving([Output::Classes], ""), post("/", r#"{"inputs": "w1"}"#)).await;
    assert_eq!((status, &body[0]["label"]), (StatusCode::OK, &json!("yes")));
    let text = || post("/", r#"{"inputs": "w1"}"#);
    let (status, _, body) = send(&Fake::giving([Output::Sparse], ""), text()).await;
    assert_eq!((status, &body[0][0]["index"]), (StatusCode::OK, &json!(7)));
    let all = Fake::giving([Output::Dense, Output::Sparse, Output::MultiVector], "");
    let (status, _, body) = send(&all, text()).await;
    assert_eq!((status, body[0].as_array().unwrap().len()), (StatusCode::OK, 3), "a model with all has vectors first");
}

#[tokio::test]
async fn probes_of_other_servers_and_one_model_are_answered() {
    let fake = Fake::ready("");
    for path in ["/", "/health", "/ping", "/v1/models/tiny"] {
        let (status, _, body) = send(&fake, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    let (status, _, _) = send(&Fake::loading(), Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (_, _, info) = send(&fake, Request::get("/info").body(Body::empty()).unwrap()).await;
    assert_eq!(info["model_type"], json!({ "embedding": { "pooling": "mean" } }));
    let (_, _, info) = send(&Fake::scoring(), Request::get("/info").body(Body::empty()).unwrap()).await;
    assert_eq!(info["model_type"]["reranker"]["id2label"]["1"], "yes");
}
