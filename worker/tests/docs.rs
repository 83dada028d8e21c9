//! The page to try the API with: it loads nothing from elsewhere, and its script makes what it shows from the document.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/client.rs"]
mod client;
#[path = "support/page.rs"]
mod page;

use std::process::Command;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_worker::http::docs::PAGE;
use belfry_worker::http::openapi::DOCUMENT;
use client::send;
use serde_json::Value;
use support::Fake;

#[tokio::test]
async fn the_page_comes_with_a_policy_that_lets_only_its_own_script_run() {
    let (status, head, body) = send(&Fake::loading(), Request::get("/docs").body(Body::empty()).unwrap()).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, Some(PAGE)));
    page::has_policy(PAGE, &head);
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_runs_but_the_script() {
    page::is_alone(PAGE);
}

#[test]
fn the_script_finds_every_element_that_it_asks_for() {
    assert!(page::has_its_elements(PAGE) > 20);
    // Each field has a label.
    for field in ["key", "name", "body"] {
        assert!(PAGE.contains(&format!("<label for=\"{field}\">")), "{field}");
    }
}

fn evaluate(expression: &str) -> Option<Value> {
    page::evaluate(PAGE, &format!("const api = {DOCUMENT};"), expression)
}

#[test]
fn the_routes_of_the_model_come_first() {
    let named =
        "Object.fromEntries(grouped(api, OUTPUTS).map(([title, routes]) => [title, routes.map((r) => r.path)]))";
    let Some(groups) = evaluate(&named.replace("OUTPUTS", r#"["score"]"#)) else {
        println!("node is not here: the logic of the page was not run");
        return;
    };
    let titles: Vec<&String> = groups.as_object().unwrap().keys().collect();
    assert_eq!(titles.len(), 4, "{titles:?}");
    let has = |title: &str, path: &str| groups[title].as_array().unwrap().iter().any(|given| given == path);
    assert!(has("This model answers", "/v1/score/{model}") && has("This model answers", "/rerank"));
    assert!(has("Every model answers", "/tokenize") && has("Other models answer", "/embed"));
    assert!(has("About the worker", "/info") && !has("This model answers", "/embed"));
    let late = evaluate(&named.replace("OUTPUTS", r#"["multi-vector", "late-interaction"]"#)).unwrap();
    for path in ["/embed_all", "/rerank", "/v1/rerank", "/v1/score/{model}", "/v1/encode/{model}"] {
        assert!(late["This model answers"].as_array().unwrap().iter().any(|given| given == path), "{path}");
    }
    let first = evaluate(r#"grouped(api, ["dense"])[0]"#).unwrap();
    assert_eq!(first[0], "This model answers");
    assert_eq!(first[1][0]["path"], "/v1/embeddings");
    let empty = evaluate("grouped(api, [])[0][0]").unwrap();
    assert_eq!(empty, "Every model answers");
}

#[test]
fn a_request_is_shown_as_a_line_for_a_shell_without_the_key() {
    let route = "({ path: '/v1/encode/{model}', method: 'POST', operation: api.paths['/v1/encode/{model}'].post })";
    let line = format!(
        "(() => {{ const route = {route}; const headers = headersOf(route, 'sk-hunter2'); \
         return curlLine('http://h:1', route, filled(route.path, 'a b/c'), headers, JSON.stringify({{ a: \"it's\" }})); }})()"
    );
    let Some(line) = evaluate(&line) else { return };
    let line = line.as_str().unwrap();
    assert!(!line.contains("hunter2"));
    // A shell must take it apart again.
    let words = Command::new("bash")
        .arg("-c")
        .arg(format!("{}; printf '%s\\n' \"${{words[@]}}\"", line.replacen("curl", "words=(curl", 1) + ")"))
        .env("API_KEY", "k")
        .output();
    let words = String::from_utf8(words.unwrap().stdout).unwrap();
    assert_eq!(
        words.lines().collect::<Vec<_>>(),
        [
            "curl",
            "-s",
            "-X",
            "POST",
            "http://h:1/v1/encode/a%20b/c",
            "-H",
            "content-type: application/json",
            "-H",
            "accept: application/json",
            "-H",
            "authorization: Bearer k",
            "--data-binary",
            r#"{"a":"it's"}"#,
        ]
    );
    let get =
        evaluate("curlLine('', { method: 'GET', operation: api.paths['/info'].get }, '/info', {}, null)").unwrap();
    assert_eq!(get, "curl -s '/info'");
}

#[test]
fn an_answer_is_shown_with_line_breaks_and_cut() {
    let Some(shown) = evaluate(r#"shown('{"a":[1]}', "application/json")"#) else { return };
    assert_eq!(shown, "{\n  \"a\": [\n    1\n  ]\n}");
    assert_eq!(evaluate(r#"shown("{broken", "application/json")"#).unwrap(), "{broken");
    let long = evaluate(r#"shown("x".repeat(100007), "text/plain").slice(-20)"#).unwrap();
    assert_eq!(long, "\n… 7 more characters");
}
