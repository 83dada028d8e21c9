//! The description of the routes, held against the routes in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::endpoint::{Endpoint, ErrorShape};
use belfry_worker::engine::Output;
use belfry_worker::error::Reason;
use belfry_worker::http::ROUTES;
use belfry_worker::http::openapi::DOCUMENT;
use client::{path_of, path_to, post, send};
use serde_json::Value;
use support::Fake;

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Each path with its operations.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of = |(path, operations): (&String, &Value)| {
        let one = |(method, operation): (&String, &Value)| (path.clone(), method.to_uppercase(), operation.clone());
        operations.as_object().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    paths.flat_map(of).collect()
}

#[test]
fn the_document_has_the_routes_and_no_others() {
    let document = document();
    let written: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    let served: BTreeSet<(String, String)> = ROUTES
        .iter()
        .flat_map(|route| route.methods.iter().map(|method| (route.path.replace("{*", "{"), (*method).to_owned())))
        .filter(|(_, method)| method != "HEAD")
        .collect();
    assert_eq!(written, served);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_table_of_routes_names_the_methods_that_are_answered() {
    let fake = Fake::ready("");
    for route in ROUTES {
        let path = path_of(route.path);
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
            let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
            let status = send(&fake, request).await.0;
            let answers = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(answers, route.methods.contains(&method), "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn every_example_is_answered() {
    let fakes = [
        Fake::giving([Output::Dense, Output::Sparse, Output::MultiVector], "--accept-token-ids"),
        Fake::scoring(),
        Fake::giving([Output::Classes], ""),
    ];
    let mut asked = 0;
    for (path, _, operation) in operations(&document()).into_iter().filter(|(_, method, _)| method == "POST") {
        let example = operation["requestBody"]["content"]["application/json"]["example"].to_string();
        let mut answered = false;
        for fake in &fakes {
            answered |= send(fake, post(&path_of(&path), example.clone())).await.0 == StatusCode::OK;
        }
        assert!(answered, "{path}: {example}");
        asked += 1;
    }
    assert!(asked > 10);
}

#[tokio::test]
async fn the_outputs_of_a_route_are_those_of_models_that_answer_its_example() {
    let fakes: Vec<(Output, Fake)> =
        Output::ALL.into_iter().map(|output| (output, Fake::giving([output], "--accept-token-ids"))).collect();
    for (path, _, operation) in operations(&document()).into_iter().filter(|(_, method, _)| method == "POST") {
        let Some(outputs) = operation["x-outputs"].as_array() else {
            assert!(["/", "/tokenize", "/decode", "/v1/feedback"].contains(&path.as_str()), "{path}");
            continue;
        };
        let example = operation["requestBody"]["content"]["application/json"]["example"].to_string();
        let mut answered = 0;
        for (output, fake) in &fakes {
            let status = send(fake, post(&path_of(&path), example.clone())).await.0;
            let listed = outputs.iter().any(|name| name == output.name());
            assert!(listed || status == StatusCode::BAD_REQUEST, "{path}: {output}: {status}");
            answered += usize::from(status == StatusCode::OK);
        }
        assert!(answered > 0, "{path}");
    }
}

#[test]
fn every_status_of_a_failed_request_is_written_down() {
    let document = document();
    for endpoint in Endpoint::ALL {
        let operations = operations(&document);
        let here = operations.iter().find(|(path, ..)| path_of(path) == path_to(*endpoint));
        let (_, _, operation) = here.unwrap();
        let written: BTreeSet<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let statuses = Reason::ALL.iter().map(|reason| reason.status(*endpoint));
        let mut sent: BTreeSet<String> = statuses.map(|status| status.as_str().to_owned()).collect();
        // It is counted, and never sent.
        sent.remove("499");
        sent.insert("200".to_owned());
        assert_eq!(written, sent.iter().map(String::as_str).collect(), "{endpoint:?}");
        let shape = match endpoint.error_shape() {
            ErrorShape::OpenAi => "OpenAI",
            ErrorShape::Flat => "Flat",
            ErrorShape::Detail => "Detail",
        };
        for code in written.iter().filter(|code| **code != "200") {
            let response = &operation["responses"][code]["$ref"];
            assert_eq!(response, &format!("#/components/responses/{shape}{code}"), "{endpoint:?}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut left = vec![&document];
    let mut found = 0;
    while let Some(value) = left.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
            found += 1;
        }
        match value {
            Value::Object(map) => left.extend(map.values()),
            Value::Array(list) => left.extend(list),
            _ => {}
        }
    }
    assert!(found > 100, "{found}");
}

#[tokio::test]
async fn the_document_is_served() {
    let (status, head, body) = send(&Fake::loading(), Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((status, &head.headers()["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
    assert_eq!(body, document());
}
