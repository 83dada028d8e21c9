//! What every page of the worker must hold, and how its script is run without a browser.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::io::Write;
use std::process::{Command, Stdio};

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What stands between two pieces of a page, which it has once.
pub fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    assert_eq!(page.matches(start).count(), 1, "{start}");
    page.split_once(start).unwrap().1.split_once(end).unwrap().0
}

pub fn script(page: &str) -> &str {
    between(page, "<script>", "</script>")
}

/// Asserts that the page comes with a policy that lets only its own script run.
pub fn has_policy(page: &str, head: &Response<()>) {
    let header = |name: &str| head.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    let policy = header("content-security-policy");
    let hash = |inner: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inner)));
    for part in [
        "default-src 'none'".to_owned(),
        format!("script-src {}", hash(script(page))),
        format!("style-src {}", hash(between(page, "<style>", "</style>"))),
        "connect-src 'self'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ] {
        assert!(policy.split("; ").any(|given| given == part), "{part} is not in: {policy}");
    }
    assert!(!policy.contains("unsafe"));
}

/// Asserts that the page loads nothing from elsewhere, and runs nothing but its script.
pub fn is_alone(page: &str) {
    for outside in ["http://", "https://", "//cdn", "src=", "href=", "@import", "url(", "<link", "<img", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The policy lets no script and no style of an element run.
    let markup = page.replace(script(page), "").replace(between(page, "<style>", "</style>"), "");
    for inline in [" style=", " onclick=", " onload=", " oninput=", "javascript:"] {
        assert!(!markup.contains(inline), "{inline}");
    }
    assert!(
        !script(page).contains("innerHTML") && !script(page).contains("eval("),
        "an answer is text, and never markup"
    );
}

/// Asserts that every element that the script asks for is there once; returns how many it asks for.
pub fn has_its_elements(page: &str) -> usize {
    let asked: Vec<&str> = script(page).split("at(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    for id in &asked {
        assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
    asked.len()
}

/// What an expression in a page's script gives, after other lines of script; `None` where there is no node.
pub fn evaluate(page: &str, lines: &str, expression: &str) -> Option<Value> {
    let script = script(page);
    let mut node = Command::new("node").arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    write!(node.stdin.take().unwrap(), "{script}\n{lines}\nconsole.log(JSON.stringify({expression}));").unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{expression}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
