//! Downloads, from a hub on this machine that answers as the real one does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason::*};
use belfry_worker::load::{Loaded, load};
use belfry_worker::torch::Device;
use serde_json::json;
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: &[&str] =
    &["config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json", "model.safetensors", "README.md"];

/// A hub with the repositories `org/tiny`, `org/gated` (needs a token) and `org/broken` (500).
struct Hub {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    model: TempDir,
}

#[derive(Clone)]
struct Shelf {
    model: PathBuf,
    asked: Arc<AtomicUsize>,
}

impl Hub {
    fn start() -> Self {
        let model = TempDir::new().unwrap();
        tiny::write(model.path());
        let asked = Arc::new(AtomicUsize::new(0));
        let shelf = Shelf { model: model.path().to_owned(), asked: Arc::clone(&asked) };
        let router = Router::new()
            .route("/api/models/org/{name}/revision/{revision}", get(info))
            .route("/org/{name}/resolve/{revision}/{*file}", get(file))
            .with_state(shelf);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await })
        });
        Self { address, asked, model }
    }
}

fn refuse(name: &str, revision: &str, headers: &HeaderMap) -> Option<StatusCode> {
    match name {
        "gated" if headers.get("authorization").is_none() => Some(StatusCode::UNAUTHORIZED),
        "gated" if headers["authorization"] != "Bearer right" => Some(StatusCode::FORBIDDEN),
        "broken" => Some(StatusCode::INTERNAL_SERVER_ERROR),
        "tiny" | "gated" if ["main", COMMIT].contains(&revision) => None,
        _ => Some(StatusCode::NOT_FOUND),
    }
}

async fn info(
    State(shelf): State<Shelf>,
    Path((name, revision)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    shelf.asked.fetch_add(1, Ordering::Relaxed);
    if let Some(status) = refuse(&name, &revision, &headers) {
        return status.into_response();
    }
    let siblings: Vec<_> = FILES.iter().map(|file| json!({ "rfilename": file })).collect();
    axum::Json(json!({ "sha": COMMIT, "siblings": siblings })).into_response()
}

async fn file(
    State(shelf): State<Shelf>,
    Path((name, revision, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    shelf.asked.fetch_add(1, Ordering::Relaxed);
    if let Some(status) = refuse(&name, &revision, &headers) {
        return status.into_response();
    }
    let Ok(bytes) = std::fs::read(shelf.model.join(&file)) else { return StatusCode::NOT_FOUND.into_response() };
    let range = headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
    let (start, end) = range.split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = end.parse().unwrap_or(bytes.len() - 1);
    if start >= bytes.len() {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    Response::builder()
        .status(StatusCode::PARTIAL_CONTENT)
        .header("x-repo-commit", COMMIT)
        .header("etag", format!("\"{}\"", file.replace('/', "-")))
        .header("content-range", format!("bytes {start}-{end}/{}", bytes.len()))
        .body(Body::from(bytes[start..=end].to_vec()))
        .unwrap()
}

fn fetch(endpoint: &str, cache: &TempDir, flags: &str) -> Result<Loaded, LoadFailure> {
    let args =
        support::args(&format!("--cache {} --hf-endpoint {endpoint} --dtype float32 {flags}", cache.path().display()));
    load(&args, &Device::choose(&args.compute).unwrap())
}

#[test]
fn a_repository_is_downloaded_once_and_then_served_without_the_hub() {
    let (hub, cache) = (Hub::start(), TempDir::new().unwrap());
    let endpoint = format!("http://{}/", hub.address);
    let loaded = fetch(&endpoint, &cache, "--hf-repo org/tiny").unwrap();
    assert_eq!(loaded.model.about.revision, COMMIT);
    let asked = hub.asked.load(Ordering::Relaxed);
    fetch(&endpoint, &cache, "--hf-repo org/tiny").unwrap();
    assert_eq!(hub.asked.load(Ordering::Relaxed), asked + 1, "only what main means now");
    let offline = "http://127.0.0.1:1";
    assert!(fetch(offline, &cache, &format!("--hf-repo org/tiny --hf-revision {COMMIT}")).is_ok());
}

#[test]
fn a_download_that_broke_off_is_taken_up_again() {
    let (hub, cache) = (Hub::start(), TempDir::new().unwrap());
    let blobs = cache.path().join("models--org--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let whole = std::fs::read(hub.model.path().join("model.safetensors")).unwrap();
    // One part is half of its file, another one is whole and was only never renamed.
    std::fs::write(blobs.join("model.part"), &whole[..whole.len() / 2]).unwrap();
    std::fs::copy(hub.model.path().join("tokenizer.json"), blobs.join("tokenizer.part")).unwrap();
    let loaded = fetch(&format!("http://{}", hub.address), &cache, "--hf-repo org/tiny");
    assert_eq!(loaded.map(|loaded| loaded.model.dimensions), Ok(8));
}

#[test]
fn every_refusal_has_its_reason_and_one_line() {
    let hub = Hub::start();
    let endpoint = format!("http://{}", hub.address);
    let rows = [
        ("--hf-repo org/gated", AuthFailed, "hub refused org/gated@main with 401: no token was sent"),
        (
            "--hf-repo org/gated --hf-token wrong",
            AuthFailed,
            "hub refused org/gated@main with 403: the token may not read it",
        ),
        ("--hf-repo org/none", RevisionNotFound, "hub does not know org/none@main (404)"),
        ("--hf-repo org/tiny --hf-revision v9", RevisionNotFound, "hub does not know org/tiny@v9 (404)"),
        ("--hf-repo org/broken", DownloadFailed, "hub answered 500 for org/broken@main"),
    ];
    for (flags, reason, message) in rows {
        let failure = fetch(&endpoint, &TempDir::new().unwrap(), flags).err().unwrap();
        assert_eq!(failure.reason, reason, "{}", failure.message);
        assert!(failure.message.starts_with(message), "{}", failure.message);
        assert!(!failure.message.contains("wrong"), "the token stays secret");
    }
    assert!(fetch(&endpoint, &TempDir::new().unwrap(), "--hf-repo org/gated --hf-token right").is_ok());
    let failure = fetch("http://127.0.0.1:1", &TempDir::new().unwrap(), "--hf-repo org/tiny").err().unwrap();
    assert_eq!(failure.reason, DownloadFailed);
    assert!(failure.message.contains("http://127.0.0.1:1") && !failure.message.contains('\n'), "{}", failure.message);
}
