//! Downloads from a bucket on this machine that checks every signature.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/s3.rs"]
mod s3;
#[path = "support/server.rs"]
mod server;
#[path = "support/tiny.rs"]
mod tiny;

use std::net::SocketAddr;
use std::sync::Arc;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason::*};
use belfry_worker::args::Args;
use belfry_worker::device::Device;
use belfry_worker::load::{Loaded, load};
use belfry_worker::metrics::Metrics;
use clap::Parser;
use server::{Fault, Shelf};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";
const URI: &str = "s3://models/org/tiny model/";

fn start() -> (SocketAddr, Arc<Shelf>) {
    let model = TempDir::new().unwrap();
    tiny::write(model.path());
    std::fs::write(model.path().join("README.md"), "not loaded").unwrap();
    let shelf = Shelf::of_folder(model.path());
    (s3::bucket(&shelf), shelf)
}

/// Flags are names and values.
fn fetch_with(address: SocketAddr, cache: &TempDir, uri: &str, flags: &[&str]) -> Result<Loaded, LoadFailure> {
    let endpoint = format!("http://{address}");
    let cache = cache.path().to_str().unwrap();
    let fixed = ["belfry-worker", "--s3-uri", uri, "--s3-endpoint", &endpoint, "--cache", cache];
    let more = ["--dtype", "float32", "--download-pause-ms", "1"];
    let args = Args::parse_from(fixed.iter().chain(&more).chain(flags));
    load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())
}

const KEYS: [&str; 6] = ["--s3-region", s3::REGION, "--s3-access-key-id", s3::ID, "--s3-secret-access-key", s3::SECRET];

fn fetch(address: SocketAddr, cache: &TempDir) -> Result<Loaded, LoadFailure> {
    fetch_with(address, cache, URI, &KEYS)
}

#[test]
fn a_folder_in_a_bucket_is_listed_over_pages_downloaded_once_and_served() {
    let ((address, shelf), cache) = (start(), TempDir::new().unwrap());
    let loaded = fetch(address, &cache).unwrap();
    assert_eq!(loaded.model.dimensions, 8);
    assert_eq!(loaded.model.about.revision.len(), 40);
    assert_eq!(shelf.asked("GET", "/models/").len(), 3, "six objects, two on a page");
    assert!(shelf.asked("GET", "README.md").is_empty());
    assert_eq!(fetch(address, &cache).unwrap().model.about.revision, loaded.model.about.revision);
    assert_eq!(shelf.asked("GET", WEIGHTS).len(), 1);
    let offline = "127.0.0.1:1".parse().unwrap();
    assert!(fetch(offline, &cache).is_err(), "another endpoint is another bucket");
}

#[test]
fn a_bucket_that_changed_is_another_revision() {
    let ((address, shelf), cache) = (start(), TempDir::new().unwrap());
    let first = fetch(address, &cache).unwrap().model.about;
    shelf.files.lock().unwrap().insert(WEIGHTS.to_owned(), tiny::weights(&tiny::shapes(), 0.5));
    let second = fetch(address, &cache).unwrap().model.about;
    assert_ne!(first.revision, second.revision);
    assert_ne!(first.digest, second.digest);
    assert_eq!(shelf.asked("GET", "tokenizer.json").len(), 1, "what stayed is not downloaded again");
}

#[test]
fn a_broken_or_silent_connection_is_taken_up_where_it_broke() {
    let ((address, shelf), cache) = (start(), TempDir::new().unwrap());
    shelf.spoil(WEIGHTS, [Fault::Cut(1000), Fault::Stall(500), Fault::Status(503)]);
    shelf.spoil("", [Fault::Status(503), Fault::Status(500)]);
    let flags: Vec<_> = KEYS.into_iter().chain(["--stall-timeout-seconds", "1"]).collect();
    fetch_with(address, &cache, URI, &flags).unwrap();
    let ranges: Vec<_> = shelf.asked("GET", WEIGHTS).iter().map(|r| r.header("range").to_owned()).collect();
    assert_eq!(ranges, ["", "bytes=1000-", "bytes=1500-", "bytes=1500-"]);
}

#[test]
fn an_object_that_always_ends_early_is_named_and_never_loaded() {
    let ((address, shelf), cache) = (start(), TempDir::new().unwrap());
    shelf.spoil(WEIGHTS, std::iter::once(Fault::Cut(1000)).chain(vec![Fault::Cut(0); 4]));
    let failure = fetch(address, &cache).err().unwrap();
    assert_eq!(failure.reason, DownloadFailed);
    assert!(failure.message.contains("for model.safetensors"), "{}", failure.message);
    assert!(fetch(address, &cache).is_ok(), "the next start goes on");
    assert_eq!(shelf.asked("GET", WEIGHTS).last().unwrap().header("range"), "bytes=1000-");
}

#[test]
fn every_refusal_has_its_reason_and_one_line() {
    let (address, shelf) = start();
    let with = |region, id, secret| ["--s3-region", region, "--s3-access-key-id", id, "--s3-secret-access-key", secret];
    let keys = [
        (
            with(s3::REGION, s3::ID, "wrong"),
            AuthFailed,
            "bucket refused s3://models/org/tiny model/ with 403 SignatureDoesNotMatch: ",
        ),
        (with(s3::REGION, "OTHER", s3::SECRET), AuthFailed, "with 403 InvalidAccessKeyId: "),
        (with("us-east-1", s3::ID, s3::SECRET), DownloadFailed, "the bucket is in another region; set region"),
    ];
    for (flags, reason, says) in keys {
        let failure = fetch_with(address, &TempDir::new().unwrap(), URI, &flags).err().unwrap();
        assert_eq!(failure.reason, reason, "{}", failure.message);
        assert!(failure.message.contains(says), "{}", failure.message);
        assert!(!failure.message.contains("wrong") && !failure.message.contains(s3::SECRET), "{}", failure.message);
    }
    let failure = fetch_with(address, &TempDir::new().unwrap(), URI, &["--s3-access-key-id", ""]).err().unwrap();
    assert_eq!(failure.reason, AuthFailed);
    assert!(failure.message.contains("was not signed"), "{}", failure.message);
    for (uri, says) in [
        ("s3://other/org", "404 NoSuchBucket"),
        ("s3://models/org/none", "404 EmptyFolder"),
        ("http://models", "write s3://bucket/folder"),
    ] {
        let failure = fetch_with(address, &TempDir::new().unwrap(), uri, &KEYS).err().unwrap();
        assert_eq!(failure.reason, ModelNotFound, "{}", failure.message);
        assert!(failure.message.contains(says), "{}", failure.message);
    }
    shelf.spoil("", vec![Fault::Status(503); 9]);
    let failure = fetch(address, &TempDir::new().unwrap()).err().unwrap();
    assert_eq!(failure.reason, DownloadFailed);
    assert!(failure.message.contains("503 SlowDown"), "{}", failure.message);
}
