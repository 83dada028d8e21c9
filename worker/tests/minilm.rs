//! The real all-MiniLM-L6-v2 against sentence-transformers, for 200 texts of all kinds.
//! `reference/make.py` made the vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;

use std::fs;

use belfry_worker::batch::Packed;
use belfry_worker::device::{Device, own_this_thread};
use belfry_worker::engine::{Engine, Output, OutputSet};
use belfry_worker::load::{Loaded, load, manifest};
use belfry_worker::metrics::Metrics;
use belfry_worker::respond::Shape;
use belfry_worker::tokenize::Encoded;

const DIMENSIONS: usize = 384;

fn sentences() -> Vec<String> {
    serde_json::from_slice(&fs::read("tests/reference/sentences.json").unwrap()).unwrap()
}

fn reference() -> Vec<Vec<f32>> {
    let bytes = fs::read("tests/reference/vectors.f32").unwrap();
    let floats: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    floats.chunks_exact(DIMENSIONS).map(<[f32]>::to_vec).collect()
}

fn minilm(dtype: &str) -> Loaded {
    let args = support::args(&format!("--model {} --dtype {dtype}", support::minilm().display()));
    let device = Device::choose(&args.compute).unwrap();
    load(&args, &device, &Metrics::new().unwrap()).unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// Embeds texts in this order and in batches of this size, as the routes do, and puts them back in the given order.
fn embed(model: &mut Loaded, texts: &[String], order: &[usize], batch: usize) -> Vec<Vec<f32>> {
    let mut vectors = vec![Vec::new(); texts.len()];
    for part in order.chunks(batch) {
        let encoded: Vec<_> = part.iter().map(|i| model.model.tokenizer.text(&texts[*i], true).unwrap()).collect();
        let ids: Vec<&[u32]> = encoded.iter().map(Encoded::ids).collect();
        let packed = Packed::new(&ids);
        let outputs = model.engine.pass(&packed, OutputSet::of([Output::Dense])).unwrap();
        for (row, index) in outputs.dense.unwrap().into_iter().zip(&packed.order) {
            vectors[part[*index]] = Shape::of(&model.model.presets, None, None).apply(row);
        }
    }
    vectors
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn assert_like(got: &[Vec<f32>], expected: &[Vec<f32>], least: f64, what: &str) {
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let cosine = cosine(got, expected);
        assert!(cosine >= least, "{what}: text {i} has cosine {cosine}");
        let length = got.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{what}: text {i} has length {length}");
    }
}

/// A fixed permutation.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|i| (*i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    order
}

#[test]
fn float32_is_what_sentence_transformers_computes_for_any_batch_and_order() {
    let _no_grad = own_this_thread(1);
    let (texts, expected) = (sentences(), reference());
    assert_eq!((texts.len(), expected.len()), (200, 200));
    let mut model = minilm("float32");
    assert_eq!(model.model.tokenizer.max_tokens(), 256);
    let order = shuffled(texts.len());
    for batch in [1, 7, 64, texts.len()] {
        let vectors = embed(&mut model, &texts, &order, batch);
        assert_like(&vectors, &expected, 0.99999, &format!("float32, batches of {batch}"));
    }
}

#[test]
fn bfloat16_is_close_to_it_for_any_batch_and_order() {
    let _no_grad = own_this_thread(1);
    let (texts, expected) = (sentences(), reference());
    let mut model = minilm("bfloat16");
    let order = shuffled(texts.len());
    for batch in [16, texts.len()] {
        let vectors = embed(&mut model, &texts, &order, batch);
        assert_like(&vectors, &expected, 0.999, &format!("bfloat16, batches of {batch}"));
    }
}

#[test]
fn the_digest_is_what_sha256sum_and_sort_say() {
    let _no_grad = own_this_thread(1);
    let about = minilm("float32").model.about;
    // sha256sum FILES | LC_ALL=C sort -k 2 | sha256sum, of the eight files and the weights that a worker reads.
    assert_eq!(about.digest, "7b0c46ff596be83ecae3e495b8de16acfdb97cdc3f4cdf181c74b3d144fae363");
    assert_eq!(manifest(&support::minilm()).unwrap().digest(), about.digest);
    assert_eq!((about.architecture.as_str(), about.device.as_str()), ("BertModel", "cpu"));
}
