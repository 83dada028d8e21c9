//! Folders with the heads of BGE-M3: three outputs of one model, or a refusal that names the file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

#[path = "support/hub.rs"]
mod hub;
#[path = "support/server.rs"]
mod server;
mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason::*};
use belfry_worker::batch::Packed;
use belfry_worker::device::Device;
use belfry_worker::engine::{Engine, Output, OutputSet};
use belfry_worker::load::{Loaded, load, manifest};
use belfry_worker::metrics::Metrics;
use hub::Hub;
use serde_json::json;
use server::Shelf;
use tempfile::TempDir;

const SPARSE: &str = "sparse_linear.safetensors";
const COLBERT: &str = "colbert_linear.safetensors";

/// The bytes of a linear layer from 8 values to `out`.
fn linear(out: usize) -> Vec<u8> {
    tiny::weights(&BTreeMap::from([("weight".to_owned(), vec![out, 8]), ("bias".to_owned(), vec![out])]), 1.0)
}

/// A model with both heads.
fn model() -> TempDir {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    // BERT's class names no last token, as that of BGE-M3 does.
    tiny::write_json(&dir.path().join("tokenizer_config.json"), &json!({ "eos_token": "[SEP]" }));
    fs::write(dir.path().join(SPARSE), linear(1)).unwrap();
    fs::write(dir.path().join(COLBERT), linear(5)).unwrap();
    dir
}

fn open(folder: &Path, flags: &str) -> Result<Loaded, LoadFailure> {
    let args = support::args(&format!("--model {} --dtype float32 {flags}", folder.display()));
    load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())
}

#[test]
fn a_model_with_heads_has_three_outputs() {
    let dir = model();
    let mut loaded = open(dir.path(), "").unwrap();
    let all = OutputSet::of([Output::Dense, Output::Sparse, Output::MultiVector]);
    assert_eq!((loaded.model.outputs, loaded.model.dimensions), (all, 8));
    let outputs = loaded.engine.pass(&Packed::new(&[&[2, 4, 5, 4, 3]]), all).unwrap();
    let (vectors, words) = (outputs.multi_vector.unwrap().remove(0), outputs.sparse.unwrap().remove(0));
    assert_eq!(vectors.len(), 4, "the first token has none");
    for vector in vectors {
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!(vector.len() == 5 && (length - 1.0).abs() < 1e-5, "{vector:?}");
    }
    assert!(words.iter().all(|(word, weight)| [4, 5].contains(word) && *weight > 0.0), "no special token: {words:?}");
}

#[test]
fn each_head_is_served_alone_and_a_model_without_one_is_as_it_was() {
    let dir = model();
    fs::remove_file(dir.path().join(COLBERT)).unwrap();
    let mut loaded = open(dir.path(), "").unwrap();
    assert!(loaded.model.outputs.has(Output::Sparse));
    let of_tokens = OutputSet::of([Output::MultiVector]);
    let vectors = loaded.engine.pass(&Packed::new(&[&[2, 4, 3]]), of_tokens).unwrap().multi_vector.unwrap().remove(0);
    assert_eq!((vectors.len(), vectors[0].len()), (3, 8), "the encoder's own vectors");
    fs::rename(dir.path().join(SPARSE), dir.path().join("sparse_linear.pt")).unwrap();
    let outputs = open(dir.path(), "").unwrap().model.outputs;
    assert_eq!(outputs, OutputSet::of([Output::Dense, Output::MultiVector]), "a pickle is never read");
}

#[test]
fn heads_are_part_of_the_digest_in_both_ways_to_compute_it() {
    let dir = model();
    let written = manifest(dir.path()).unwrap();
    assert!(written.text().contains(SPARSE) && written.text().contains(COLBERT), "{}", written.text());
    assert_eq!(open(dir.path(), "").unwrap().model.about.digest, written.digest());
    fs::write(dir.path().join(SPARSE), tiny::weights(&BTreeMap::from([("weight".to_owned(), vec![1, 8])]), 2.0))
        .unwrap();
    assert_ne!(manifest(dir.path()).unwrap().digest(), written.digest());
}

#[test]
fn heads_are_downloaded_and_pickles_are_not() {
    let dir = model();
    fs::write(dir.path().join("sparse_linear.pt"), "PK").unwrap();
    let hub = Hub::start(&Shelf::of_folder(dir.path()));
    let cache = TempDir::new().unwrap();
    let flags = format!("--cache {} --hf-endpoint {} --hf-repo org/tiny", cache.path().display(), hub.endpoint());
    let args = support::args(&format!("--dtype float32 --download-pause-ms 1 {flags}"));
    let loaded = load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap()).unwrap();
    assert!(loaded.model.outputs.has(Output::Sparse));
    assert_eq!(loaded.model.about.digest, manifest(dir.path()).unwrap().digest());
    assert!(hub.shelf.asked("GET", "sparse_linear.pt").is_empty());
}

#[test]
fn a_model_with_heads_serves_the_task_of_sparse_vectors_too() {
    let dir = model();
    for task in ["embedding", "sparse-embedding"] {
        open(dir.path(), &format!("--task {task}")).unwrap_or_else(|failure| panic!("{task}: {}", failure.message));
    }
    fs::remove_file(dir.path().join(SPARSE)).unwrap();
    let failure = open(dir.path(), "--task sparse-embedding").err().unwrap();
    assert!(failure.message.contains("another task"), "{}", failure.message);
}

#[test]
fn heads_that_do_not_fit_are_refused_by_their_file() {
    let with = |name: &str, bytes: Vec<u8>| {
        let dir = model();
        fs::write(dir.path().join(name), bytes).unwrap();
        let failure = open(dir.path(), "").err().unwrap();
        assert!(failure.message.contains(name) && !failure.message.contains('\n'), "{}", failure.message);
        (failure.reason, failure.message)
    };
    let of = |shapes: &[(&str, &[usize])]| {
        tiny::weights(&shapes.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect(), 1.0)
    };
    assert_eq!(with(SPARSE, linear(2)).0, WeightsMismatch);
    assert_eq!(with(COLBERT, of(&[("weight", &[5, 7]), ("bias", &[5])])).0, WeightsMismatch);
    assert_eq!(with(COLBERT, of(&[("weight", &[5, 8])])).0, WeightsMismatch);
    assert_eq!(with(SPARSE, b"PK\x03\x04 a renamed pickle".to_vec()).0, FileCorrupt);
    let (reason, message) = with(COLBERT, of(&[("weight", &[5, 8]), ("bias", &[5]), ("norm.weight", &[5])]));
    assert!(reason == UnsupportedArchitecture && message.contains("norm.weight"), "{message}");
}

#[test]
fn heads_without_modules_json_are_refused_because_two_libraries_pool_differently() {
    let dir = model();
    fs::remove_file(dir.path().join("modules.json")).unwrap();
    let failure = open(dir.path(), "").err().unwrap();
    assert_eq!(failure.reason, UnsupportedArchitecture);
    assert!(failure.message.contains("modules.json") && failure.message.contains(SPARSE), "{}", failure.message);
}
