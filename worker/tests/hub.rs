//! Downloads from a hub on this machine, which answers as the real one does, with and without faults.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/hub.rs"]
mod hub;
#[path = "support/server.rs"]
mod server;
#[path = "support/tiny.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason::*};
use belfry_worker::device::Device;
use belfry_worker::folder::digest::sha256;
use belfry_worker::load::{Loaded, load};
use belfry_worker::metrics::Metrics;
use hub::{COMMIT, Hub};
use server::{Fault, Manners, Shelf};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

fn start() -> Hub {
    let model = TempDir::new().unwrap();
    tiny::write(model.path());
    fs::write(model.path().join("README.md"), "not loaded").unwrap();
    Hub::start(&Shelf::of_folder(model.path()))
}

fn fetch_with(endpoint: &str, cache: &Path, flags: &str, metrics: &Metrics) -> Result<Loaded, LoadFailure> {
    let args = support::args(&format!(
        "--cache {} --hf-endpoint {endpoint} --dtype float32 --download-pause-ms 1 {flags}",
        cache.display()
    ));
    load(&args, &Device::choose(&args.compute).unwrap(), metrics)
}

fn fetch(endpoint: &str, cache: &TempDir, flags: &str) -> Result<Loaded, LoadFailure> {
    fetch_with(endpoint, cache.path(), flags, &Metrics::new().unwrap())
}

/// Downloads `org/tiny` from a hub with these faults, and returns the parts of the weights that were requested.
fn despite(file: &str, faults: impl IntoIterator<Item = Fault>) -> (Vec<String>, Metrics) {
    let (hub, cache, metrics) = (start(), TempDir::new().unwrap(), Metrics::new().unwrap());
    hub.shelf.spoil(file, faults);
    let loaded = fetch_with(&hub.endpoint(), cache.path(), "--hf-repo org/tiny --stall-timeout-seconds 1", &metrics);
    assert_eq!(loaded.map(|loaded| loaded.model.dimensions), Ok(8));
    assert_eq!(metrics.download_done.get(), metrics.download_size.get());
    (hub.weight_ranges(), metrics)
}

/// Everything in a folder: paths, and contents or where links lead.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if let Ok(target) = fs::read_link(&path) {
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn a_repository_is_downloaded_once_and_then_served_without_the_hub() {
    let (hub, cache) = (start(), TempDir::new().unwrap());
    let loaded = fetch(&format!("{}/", hub.endpoint()), &cache, "--hf-repo org/tiny").unwrap();
    assert_eq!(loaded.model.about.revision, COMMIT);
    let asked = hub.requests();
    fetch(&hub.endpoint(), &cache, "--hf-repo org/tiny").unwrap();
    assert_eq!(hub.requests(), asked + 1, "only what main means now");
    assert!(hub.shelf.asked("GET", "README.md").is_empty(), "what is not loaded is not downloaded");
    let offline = "http://127.0.0.1:1";
    for revision in [COMMIT, "main"] {
        let flags = format!("--hf-repo org/tiny --hf-revision {revision}");
        assert_eq!(fetch(offline, &cache, &flags).unwrap().model.about.revision, COMMIT, "{revision}");
    }
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let (ranges, metrics) = despite(WEIGHTS, [Fault::Cut(1000), Fault::Cut(500)]);
    assert_eq!(ranges, ["", "bytes=1000-", "bytes=1500-"]);
    assert_eq!(metrics.download_retries.with_label_values(&["connection"]).get(), 2);
    let (ranges, _) = despite(WEIGHTS, (0..9).map(|_| Fault::Cut(10)));
    assert_eq!(ranges.len(), 10, "each try brought something");
}

#[test]
fn a_worker_that_was_killed_is_followed_by_one_that_goes_on() {
    let (hub, cache) = (start(), TempDir::new().unwrap());
    let whole = hub.shelf.files.lock().unwrap()[WEIGHTS].clone();
    let blobs = cache.path().join("models--org--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    // One part is half of its file, one is empty, and one is complete but was never renamed.
    let part = |id: String| blobs.join(format!("{id}.part"));
    fs::write(part(sha256(&whole)), &whole[..whole.len() / 2]).unwrap();
    fs::write(part(sha256("tokenizer.json")), "").unwrap();
    let config = hub.shelf.files.lock().unwrap()["1_Pooling/config.json"].clone();
    fs::write(part(sha256("1_Pooling-config.json")), config).unwrap();
    // It held the lease, too.
    fs::write(cache.path().join("models--org--tiny/.belfry-lease"), "0123456789abcdef 7").unwrap();
    let began = Instant::now();
    let loaded = fetch(&hub.endpoint(), &cache, "--hf-repo org/tiny --stall-timeout-seconds 1");
    assert_eq!(loaded.map(|loaded| loaded.model.dimensions), Ok(8));
    assert!(began.elapsed() >= Duration::from_secs(1), "a lease counts until it is stale");
    assert_eq!(hub.weight_ranges(), [format!("bytes={}-", whole.len() / 2)]);
    let left: Vec<_> = tree(cache.path()).into_keys().filter(|path| !path.is_symlink()).collect();
    let is_left =
        |path: &PathBuf| path.to_string_lossy().contains("lease") || path.to_string_lossy().ends_with(".part");
    assert!(!left.iter().any(is_left), "{left:?}");
    assert!(hub.shelf.asked("GET", "1_Pooling/config.json").is_empty(), "a whole part is only renamed");
}

#[test]
fn a_server_without_ranges_is_asked_for_everything() {
    let (ranges, _) = despite(WEIGHTS, [Fault::Cut(1000), Fault::NoRange]);
    assert_eq!(ranges, ["", "bytes=1000-"]);
}

#[test]
fn a_mirror_that_knows_head_badly_is_asked_with_get() {
    let rows = [
        Manners { no_head: true, ..Manners::default() },
        Manners { no_length_of_head: true, ..Manners::default() },
        Manners { no_etag: true, ..Manners::default() },
        Manners { only_ranges_have_length: true, ..Manners::default() },
        Manners { no_head: true, no_etag: true, only_ranges_have_length: true, ..Manners::default() },
    ];
    for manners in rows {
        let (hub, cache) = (start(), TempDir::new().unwrap());
        for shelf in [&hub.shelf, &hub.storage] {
            *shelf.manners.lock().unwrap() = manners;
        }
        let loaded = fetch(&hub.endpoint(), &cache, "--hf-repo org/tiny");
        assert_eq!(loaded.map(|loaded| loaded.model.dimensions), Ok(8), "{manners:?}");
        let before = hub.requests();
        fetch(&hub.endpoint(), &cache, &format!("--hf-repo org/tiny --hf-revision {COMMIT}")).map(drop).unwrap();
        assert_eq!(hub.requests(), before, "{manners:?}: what is there is not fetched again");
    }
}

#[test]
fn bytes_that_are_not_the_announced_ones_are_thrown_away() {
    for fault in [Fault::Flip, Fault::Long] {
        let (ranges, metrics) = despite(WEIGHTS, [fault.clone()]);
        assert_eq!(ranges, ["", ""], "{fault:?}");
        assert_eq!(metrics.download_retries.with_label_values(&["corrupt"]).get(), 1, "{fault:?}");
    }
    let (ranges, _) = despite(WEIGHTS, [Fault::Flip, Fault::Cut(10)]);
    assert_eq!(ranges, ["", "", "bytes=10-"], "nothing of the bad part is left");
    let hub = start();
    hub.shelf.spoil(WEIGHTS, vec![Fault::Flip; 4]);
    let failure = fetch(&hub.endpoint(), &TempDir::new().unwrap(), "--hf-repo org/tiny").err().unwrap();
    assert_eq!(failure.reason, DownloadFailed);
    assert!(failure.message.contains(WEIGHTS) && failure.message.contains("wrong data"), "{}", failure.message);
}

#[test]
fn a_hub_that_is_busy_is_asked_again_and_not_for_ever() {
    let (_, metrics) = despite("", [503, 429, 500].map(Fault::Status));
    assert_eq!(metrics.download_retries.with_label_values(&["status"]).get(), 3);
    despite("config.json", [502, 504].map(Fault::Status));
    let hub = start();
    hub.shelf.spoil("", vec![Fault::Status(503); 9]);
    let failure = fetch(&hub.endpoint(), &TempDir::new().unwrap(), "--hf-repo org/tiny").err().unwrap();
    assert_eq!(failure.reason, DownloadFailed);
    assert!(failure.message.starts_with("hub answered 503 for org/tiny@main: "), "{}", failure.message);
    assert_eq!(hub.requests(), 4);
}

#[test]
fn a_connection_that_falls_silent_is_made_again() {
    let (ranges, metrics) = despite(WEIGHTS, [Fault::Stall(1000)]);
    assert_eq!(ranges, ["", "bytes=1000-"]);
    assert_eq!(metrics.download_retries.with_label_values(&["stalled"]).get(), 1);
}

#[test]
fn a_download_that_stands_still_ends_with_its_reason() {
    let hub = start();
    hub.shelf.spoil(WEIGHTS, vec![Fault::Stall(0); 9]);
    let began = Instant::now();
    let flags = "--hf-repo org/tiny --stall-timeout-seconds 1";
    let failure = fetch(&hub.endpoint(), &TempDir::new().unwrap(), flags).err().unwrap();
    assert_eq!(failure.reason, DownloadStalled, "{}", failure.message);
    assert!(failure.message.contains("org/tiny@main for model.safetensors"), "{}", failure.message);
    assert!((4..15).contains(&began.elapsed().as_secs()), "four tries of a second, not {:?}", began.elapsed());
}

#[test]
fn a_download_that_takes_too_long_ends_with_its_reason() {
    let hub = start();
    hub.shelf.spoil(WEIGHTS, [Fault::Stall(100)]);
    let (cache, began) = (TempDir::new().unwrap(), Instant::now());
    let flags = "--hf-repo org/tiny --download-timeout-seconds 1 --stall-timeout-seconds 600";
    let failure = fetch(&hub.endpoint(), &cache, flags).err().unwrap();
    assert_eq!(failure.reason, DownloadTimeout, "{}", failure.message);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(fetch(&hub.endpoint(), &cache, "--hf-repo org/tiny").is_ok());
    assert_eq!(hub.weight_ranges(), ["", "bytes=100-"], "the next start goes on");
}

#[test]
fn the_token_goes_only_to_the_hub() {
    let hub = start();
    for repo in ["org/gated", "org/old"] {
        let flags = format!("--hf-repo {repo} --hf-token right");
        fetch(&hub.endpoint(), &TempDir::new().unwrap(), &flags).unwrap();
    }
    let elsewhere = hub.storage.log.lock().unwrap();
    assert_eq!(elsewhere.len(), 2);
    for request in elsewhere.iter() {
        assert_eq!(request.header("authorization"), "", "{request:?}");
        assert_eq!(request.query, "x=y");
    }
    assert!(hub.shelf.log.lock().unwrap().iter().all(|request| request.header("authorization") == "Bearer right"));
}

#[test]
fn every_refusal_has_its_reason_and_one_line() {
    let hub = start();
    let endpoint = hub.endpoint();
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
        ("--hf-repo org/loop", DownloadFailed, "download of org/loop@main from http://"),
    ];
    for (flags, reason, message) in rows {
        let failure = fetch(&endpoint, &TempDir::new().unwrap(), flags).err().unwrap();
        assert_eq!(failure.reason, reason, "{}", failure.message);
        assert!(failure.message.starts_with(message), "{}", failure.message);
        assert!(!failure.message.contains("wrong"), "the token stays secret");
    }
    let failure = fetch("http://127.0.0.1:1", &TempDir::new().unwrap(), "--hf-repo org/tiny").err().unwrap();
    assert_eq!(failure.reason, DownloadFailed);
    assert!(failure.message.contains("http://127.0.0.1:1") && !failure.message.contains('\n'), "{}", failure.message);
    let nowhere = TempDir::new().unwrap();
    fs::write(nowhere.path().join("file"), "").unwrap();
    let cache = nowhere.path().join("file/cache");
    let failure = fetch_with(&endpoint, &cache, "--hf-repo org/tiny", &Metrics::new().unwrap()).err().unwrap();
    assert!(failure.message.contains("mount a writable cache"), "{}", failure.message);
}

#[test]
fn a_cache_that_the_hubs_own_client_filled_is_read_and_not_written() {
    let (hub, cache) = (start(), TempDir::new().unwrap());
    let root = cache.path().join("models--org--tiny");
    for (name, bytes) in hub.shelf.files.lock().unwrap().iter() {
        let (blob, link) = (root.join("blobs").join(sha256(bytes)), root.join("snapshots").join(COMMIT).join(name));
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(&blob, bytes).unwrap();
        let up = "../".repeat(2 + name.matches('/').count());
        symlink(format!("{up}blobs/{}", sha256(bytes)), link).unwrap();
    }
    fs::create_dir_all(root.join("refs")).unwrap();
    fs::write(root.join("refs/main"), COMMIT).unwrap();
    let before = tree(cache.path());
    for endpoint in [hub.endpoint(), "http://127.0.0.1:1".to_owned()] {
        for revision in [COMMIT, "main"] {
            let flags = format!("--hf-repo org/tiny --hf-revision {revision}");
            assert_eq!(fetch(&endpoint, &cache, &flags).unwrap().model.about.revision, COMMIT);
        }
    }
    assert_eq!(tree(cache.path()), before);
    assert!(hub.weight_ranges().is_empty());
}

#[test]
fn workers_that_share_a_cache_share_one_download() {
    let (hub, cache) = (start(), TempDir::new().unwrap());
    let digests: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| fetch(&hub.endpoint(), &cache, "--hf-repo org/tiny").map(|l| l.model.about.digest)))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(digests.iter().all(|digest| digest.is_ok() && *digest == digests[0]), "{digests:?}");
    assert_eq!(hub.weight_ranges(), [""], "one download");
}
