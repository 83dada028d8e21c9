//! A hub with the repositories `org/tiny`, `org/gated` (needs a token) and `org/broken` (500). Another host has the
//! weights, as on the real hub.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;

use belfry_worker::folder::digest::sha256;
use serde_json::json;

use crate::server::{Answer, Fault, Request, Shelf, serve};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The hub, and the storage that it redirects to.
pub struct Hub {
    pub address: SocketAddr,
    pub shelf: Arc<Shelf>,
    pub storage: Arc<Shelf>,
}

impl Hub {
    pub fn start(shelf: &Arc<Shelf>) -> Self {
        let storage = Arc::new(Shelf::default());
        let files = Arc::clone(shelf);
        let away = serve(&storage, move |_, request| files.content(request, "model.safetensors"));
        let address = serve(shelf, move |shelf, request| answer(shelf, request, away));
        Self { address, shelf: Arc::clone(shelf), storage }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests of any kind to both.
    pub fn requests(&self) -> usize {
        self.shelf.log.lock().unwrap().len() + self.storage.log.lock().unwrap().len()
    }

    /// `Range` of each request for the weights; empty for the whole file.
    pub fn weight_ranges(&self) -> Vec<String> {
        self.storage.log.lock().unwrap().iter().map(|request| request.header("range").to_owned()).collect()
    }
}

fn answer(shelf: &Shelf, request: &Request, storage: SocketAddr) -> Answer {
    let parts: Vec<_> = request.path.trim_start_matches('/').splitn(5, '/').collect();
    let (name, revision, file) = match *parts.as_slice() {
        ["api", "models", "org", rest, ..] => {
            let name = rest;
            (name, request.path.rsplit('/').next().unwrap(), None)
        }
        ["org", name, "resolve", revision, file] => (name, revision, Some(file)),
        _ => return Answer::new(404, ""),
    };
    let token = request.header("authorization");
    match name {
        "gated" if token.is_empty() => return Answer::new(401, ""),
        "gated" if token != "Bearer right" => return Answer::new(403, ""),
        "broken" => return Answer::new(500, ""),
        "loop" => return Answer::new(302, "").with("location", request.path.clone()),
        // A renamed repository: the hub redirects to its own host.
        "old" => return Answer::new(307, "").with("location", request.path.replace("/old/", "/gated/")),
        "tiny" | "gated" if ["main", COMMIT].contains(&revision) => {}
        _ => return Answer::new(404, ""),
    }
    let Some(file) = file else {
        if let Some(Fault::Status(status)) = shelf.next_fault("") {
            return Answer::new(status, "").with("retry-after", "0");
        }
        let files: Vec<_> = shelf.files.lock().unwrap().keys().map(|file| json!({ "rfilename": file })).collect();
        return Answer::new(200, json!({ "sha": COMMIT, "siblings": files }).to_string());
    };
    let Some(bytes) = shelf.files.lock().unwrap().get(file).cloned() else { return Answer::new(404, "") };
    if file == "model.safetensors" {
        return Answer::new(302, "")
            .with("location", format!("http://{storage}/signed?x=y"))
            .with("x-repo-commit", COMMIT)
            .with("x-linked-etag", format!("\"{}\"", sha256(&bytes)))
            .with("x-linked-size", bytes.len().to_string());
    }
    shelf.content(request, file).with("etag", format!("\"{}\"", file.replace('/', "-"))).with("x-repo-commit", COMMIT)
}
