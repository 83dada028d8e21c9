//! Tables of words (StaticEmbedding of sentence-transformers, and model2vec): a text has the mean of its words' rows, and what
//! would change a row is refused by its name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/hub.rs"]
mod hub;
#[path = "support/server.rs"]
mod server;

use std::fs;
use std::path::Path;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason::*};
use belfry_worker::batch::Packed;
use belfry_worker::device::Device;
use belfry_worker::engine::{Engine, Output, OutputSet};
use belfry_worker::load::{Loaded, load, manifest};
use belfry_worker::metrics::Metrics;
use belfry_worker::respond::Shape;
use hub::Hub;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use server::Shelf;
use tempfile::TempDir;

/// A tensor: its name, type, shape and bytes.
type Entry<'a> = (&'a str, Dtype, &'a [usize], Vec<u8>);

/// Tokens of the tokenizer: four special ones, and `w0` to `w9` from id 4 on.
const ROWS: usize = 14;

fn words(bytes: impl IntoIterator<Item = f32>) -> Vec<u8> {
    bytes.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Row n is `[n, 1]`.
fn rows() -> Vec<u8> {
    words((0..ROWS).flat_map(|row| [row as f32, 1.0]))
}

/// Writes modules.json with the table at this path, and the table's files there.
fn write(folder: &Path, path: &str, tensors: &[Entry<'_>]) {
    let place = folder.join(path);
    fs::create_dir_all(&place).unwrap();
    let module = |index: usize, name: &str, path: &str| json!({ "idx": index, "name": index.to_string(), "path": path, "type": format!("sentence_transformers.models.{name}") });
    let modules = json!([module(0, "StaticEmbedding", path), module(1, "Normalize", "1_Normalize")]);
    fs::write(folder.join("modules.json"), modules.to_string()).unwrap();
    fs::write(place.join("tokenizer.json"), include_bytes!("support/tokenizer.json")).unwrap();
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        ((*name).to_owned(), TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    fs::write(place.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

fn table() -> [Entry<'static>; 1] {
    [("embedding.weight", Dtype::F32, &[ROWS, 2], rows())]
}

fn open(flags: &str) -> Result<Loaded, LoadFailure> {
    let args = support::args(&format!("--dtype float32 {flags}"));
    load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())
}

fn of_folder(folder: &Path) -> Result<Loaded, LoadFailure> {
    open(&format!("--model {}", folder.display()))
}

/// The vector of a text, before it is brought to length 1.
fn vector(loaded: &mut Loaded, text: &str) -> Vec<f32> {
    let text = loaded.model.tokenizer.text(text, false).unwrap();
    let outputs = loaded.engine.pass(&Packed::new(&[text.ids()]), OutputSet::of([Output::Dense])).unwrap();
    outputs.dense.unwrap().remove(0)
}

#[test]
fn a_text_has_the_mean_of_its_words_rows_wherever_the_files_lie() {
    for path in ["", ".", "0_StaticEmbedding"] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), path, &table());
        let mut loaded = of_folder(dir.path()).unwrap();
        // No special token is added, and a word that the vocabulary lacks has a row, too.
        assert_eq!(vector(&mut loaded, "w0 w3"), [5.5, 1.0], "{path:?}");
        assert_eq!(vector(&mut loaded, "nothing w1"), [3.0, 1.0], "{path:?}");
        let unit = Shape::of(&loaded.model.presets, None, None).apply(vec![3.0, 4.0]);
        assert_eq!(unit, [0.6, 0.8], "the module Normalize counts");
        let about = &loaded.model.about;
        assert_eq!((about.architecture.as_str(), loaded.model.dimensions), ("StaticEmbedding", 2));
        assert_eq!(about.digest, manifest(dir.path()).unwrap().digest());
        assert_eq!(loaded.model.tokenizer.text("  ", false).unwrap_err().to_string(), "has no tokens");
    }
}

#[test]
fn a_table_of_model2vec_has_a_factor_for_each_row() {
    let dir = TempDir::new().unwrap();
    let factors = words((0..ROWS).map(|row| if row == 4 { 0.5 } else { 2.0 }));
    let tensors = [("embeddings", Dtype::F32, &[ROWS, 2][..], rows()), ("weights", Dtype::F32, &[ROWS][..], factors)];
    write(dir.path(), ".", &tensors);
    assert_eq!(vector(&mut of_folder(dir.path()).unwrap(), "w0 w1"), [(2.0 + 10.0) / 2.0, 1.25]);
}

/// Whole numbers of 64 bits.
fn places(numbers: impl IntoIterator<Item = i64>) -> Vec<u8> {
    numbers.into_iter().flat_map(i64::to_le_bytes).collect()
}

#[test]
fn tokens_of_a_small_table_of_model2vec_share_rows_and_have_factors_of_their_own() {
    let dir = TempDir::new().unwrap();
    let few = words([10.0, 1.0, 20.0, 2.0]);
    let mapping = places((0..ROWS as i64).map(|token| token % 2));
    let factors = words((0..ROWS).map(|token| if token == 4 { 0.5 } else { 2.0 }));
    let table = ("embeddings", Dtype::F32, &[2, 2][..], few.clone());
    let shared = ("mapping", Dtype::I64, &[ROWS][..], mapping);
    write(dir.path(), ".", &[table.clone(), shared.clone()]);
    assert_eq!(vector(&mut of_folder(dir.path()).unwrap(), "w0 w1 w2"), [40.0 / 3.0, 4.0 / 3.0]);
    write(dir.path(), ".", &[table.clone(), shared, ("weights", Dtype::F32, &[ROWS], factors)]);
    assert_eq!(vector(&mut of_folder(dir.path()).unwrap(), "w0 w1"), [(5.0 + 40.0) / 2.0, (0.5 + 4.0) / 2.0]);
    let short: Vec<u8> = (0..ROWS as u8).map(|token| token % 2).collect();
    write(dir.path(), ".", &[table, ("mapping", Dtype::U8, &[ROWS], short)]);
    assert_eq!(vector(&mut of_folder(dir.path()).unwrap(), "w0 w1 w2"), [40.0 / 3.0, 4.0 / 3.0]);
}

#[test]
fn the_length_that_tokenizer_json_sets_is_the_models() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "", &table());
    let path = dir.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (side, first) in [("Right", 4), ("Left", 6)] {
        json["truncation"] = json!({ "max_length": 2, "direction": side, "strategy": "LongestFirst", "stride": 0 });
        fs::write(&path, json.to_string()).unwrap();
        let tokenizer = of_folder(dir.path()).unwrap().model.tokenizer;
        assert_eq!(tokenizer.text("w0 w1 w2 w3", true).unwrap().ids()[0], first, "{side}");
        assert!(tokenizer.text("w0 w1 w2 w3", false).unwrap_err().to_string().contains("at most 2"));
    }
    json["truncation"] = json!({ "max_length": "2" });
    fs::write(&path, json.to_string()).unwrap();
    let failure = of_folder(dir.path()).err().unwrap();
    assert_eq!(failure.reason, FileCorrupt);
    assert!(failure.message.contains("truncation"), "{}", failure.message);
}

#[test]
fn what_would_change_a_row_is_refused_by_its_name() {
    let bytes = vec![0; ROWS * 2];
    let mapping = words(vec![0.0; ROWS]);
    let few = words(vec![0.0; 8]);
    let cases: Vec<(Vec<Entry<'_>>, &str)> = vec![
        (vec![("embeddings", Dtype::I8, &[ROWS, 2], bytes)], "I8"),
        (
            vec![("embeddings", Dtype::F32, &[ROWS, 2], rows()), ("mapping", Dtype::F32, &[ROWS], mapping)],
            "mapping is in F32",
        ),
        (
            vec![
                ("embeddings", Dtype::F32, &[4, 2], few.clone()),
                ("mapping", Dtype::I64, &[ROWS], places([3; ROWS - 1].into_iter().chain([4]))),
            ],
            "token 13 row 4, and embeddings has 4 rows",
        ),
        (
            vec![
                ("embeddings", Dtype::F32, &[4, 2], few.clone()),
                ("mapping", Dtype::I64, &[ROWS], places([-1; ROWS])),
            ],
            "token 0 row -1",
        ),
        (
            vec![
                ("embeddings", Dtype::F32, &[4, 2], few.clone()),
                ("mapping", Dtype::I64, &[ROWS, 1], places([0; ROWS])),
            ],
            "it must be a list",
        ),
        (
            vec![("embeddings", Dtype::F32, &[4, 2], few.clone()), ("mapping", Dtype::I64, &[5], places([0; 5]))],
            "token id 13",
        ),
        (vec![("other", Dtype::F32, &[ROWS, 2], rows())], "neither embedding.weight nor embeddings"),
        (vec![("embedding.weight", Dtype::F32, &[ROWS * 2], rows())], "must be a table"),
        (vec![("embedding.weight", Dtype::F32, &[0, 2], vec![])], "must not be empty"),
        (vec![("embedding.weight", Dtype::F32, &[4, 2], few)], "token id 13"),
        (vec![("embedding.weight", Dtype::F32, &[ROWS, 2], rows()), ("x", Dtype::F32, &[1], words([0.0]))], "tensor x"),
    ];
    for (tensors, says) in cases {
        let dir = TempDir::new().unwrap();
        write(dir.path(), "0_StaticEmbedding", &tensors);
        let failure = of_folder(dir.path()).err().unwrap_or_else(|| panic!("{says}: it loaded"));
        assert!(failure.message.contains(says), "{says}: {}", failure.message);
        assert!(failure.message.contains("0_StaticEmbedding/"), "{}", failure.message);
    }
}

#[test]
fn other_files_and_modules_that_would_change_a_vector_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "", &table());
    fs::write(dir.path().join("sparse_linear.safetensors"), "").unwrap();
    assert!(of_folder(dir.path()).err().unwrap().message.contains("sparse_linear.safetensors"));
    fs::remove_file(dir.path().join("sparse_linear.safetensors")).unwrap();
    let path = dir.path().join("modules.json");
    let mut modules: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    modules[1]["type"] = json!("sentence_transformers.models.Pooling");
    fs::write(&path, modules.to_string()).unwrap();
    let failure = of_folder(dir.path()).err().unwrap();
    assert!(failure.message.contains("module 1 is Pooling"), "{}", failure.message);
    for task in ["rerank", "classification", "sparse-embedding"] {
        write(dir.path(), "", &table());
        let failure = open(&format!("--task {task} --model {}", dir.path().display())).err().unwrap();
        assert!(failure.message.contains("the model is for embedding"), "{task}: {}", failure.message);
    }
}

#[test]
fn a_repository_with_a_table_is_downloaded_and_then_served_without_the_hub() {
    let (model, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(model.path(), "0_StaticEmbedding", &table());
    let hub = Hub::start(&Shelf::of_folder(model.path()));
    for endpoint in [hub.endpoint(), "http://127.0.0.1:1".to_owned()] {
        let flags = format!("--cache {} --hf-endpoint {endpoint} --hf-repo org/tiny", cache.path().display());
        let loaded = open(&flags).unwrap_or_else(|failure| panic!("{endpoint}: {}", failure.message));
        assert_eq!(loaded.model.dimensions, 2);
    }
}
