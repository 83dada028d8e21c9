//! Networks with random settings against transformers, or against a plain reference of a network that it lacks: every
//! number alike, for any batch and order.
//!
//! `parity/networks.py` writes the cases. Those in `tests/networks` are committed; `BELFRY_NETWORKS` names a folder of
//! others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use belfry_worker::batch::Packed;
use belfry_worker::device::{Device, own_this_thread};
use belfry_worker::engine::{Engine, Output};
use belfry_worker::folder::Folder;
use belfry_worker::load::load;
use belfry_worker::metrics::Metrics;
use belfry_worker::model::Encoder;
use belfry_worker::model::engine::TorchEngine;
use belfry_worker::model::family::Family;
use belfry_worker::model::heads::{Head, HeadKind, VocabularyHead, WordPooling, WordWeight};
use belfry_worker::model::weights::Weights;
use cases::Tensor;
use serde::Deserialize;
use serde_json::{Value, json};

/// Smallest cosine between a vector of the worker and the reference's.
const COSINE: f64 = 0.99999;

/// Largest difference of two numbers, as a share of the vector's largest.
const DIFFERENCE: f64 = 2e-4;

#[derive(Deserialize)]
struct Case {
    name: String,
    family: String,
    /// `sequence`, `vocabulary`, `tokens`, or none.
    head: Option<String>,
    config: Value,
    tensors: BTreeMap<String, Tensor>,
    texts: Vec<Vec<u32>>,
    /// For each text: without a head, first token, largest, mean and last, side by side; the logits of its sequence;
    /// the logits of its first token, and the weights of all words, pooled in two ways; or the logits of its first token and its
    /// last, and the largest.
    computed: Vec<Vec<Vec<f32>>>,
    /// For each 16-bit type, and each of those: how far they move if all in the reference is rounded. 1 - cosine, and the largest
    /// difference (`parity/rounding.py`).
    moved: BTreeMap<String, Vec<Vec<(f64, f64)>>>,
}

/// What the cases of a family came to.
#[derive(Default)]
struct Count {
    cases: usize,
    cosine: Option<f64>,
    difference: f64,
}

fn paths() -> Vec<PathBuf> {
    let folder = std::env::var_os("BELFRY_NETWORKS").map_or_else(|| PathBuf::from("tests/networks"), PathBuf::from);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    paths
}

/// A network: the engine that serves it; or an encoder and its head that predicts words, whose logits no engine gives.
enum Network {
    Engine(Box<TorchEngine>),
    Words(Box<dyn Encoder>, VocabularyHead),
}

fn write(case: &Case, dir: &Path) {
    let modules = json!([
        { "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer" },
        { "idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
    ]);
    let pooling = json!({ "pooling_mode": ["cls", "max", "mean", "lasttoken"] });
    let tokenizer = serde_json::from_slice(include_bytes!("support/tokenizer.json")).unwrap();
    let files = BTreeMap::from([
        ("config.json".to_owned(), case.config.clone()),
        ("modules.json".to_owned(), modules),
        ("1_Pooling/config.json".to_owned(), pooling),
        ("tokenizer.json".to_owned(), tokenizer),
        // The file holds everything; a class of its own would want other special tokens.
        ("tokenizer_config.json".to_owned(), json!({ "tokenizer_class": "PreTrainedTokenizerFast" })),
    ]);
    cases::write(dir, &files, &BTreeMap::new());
    fs::write(dir.join("model.safetensors"), cases::safetensors(&case.tensors)).unwrap();
}

fn open(case: &Case, dtype: &str) -> Result<Network, String> {
    let dir = tempfile::TempDir::new().unwrap();
    write(case, dir.path());
    let args = support::args(&format!("--model {} --dtype {dtype}", dir.path().display()));
    let device = Device::choose(&args.compute).unwrap();
    let Some(head) = &case.head else {
        let loaded = load(&args, &device, &Metrics::new().unwrap()).map_err(|failure| failure.message)?;
        return Ok(Network::Engine(Box::new(loaded.engine)));
    };
    let kind = match head.as_str() {
        "sequence" => HeadKind::Sequence,
        "tokens" => HeadKind::Tokens,
        _ => HeadKind::Vocabulary,
    };
    let headed = || {
        let folder = Folder::open(dir.path())?;
        let family = Family::read(&folder)?;
        family.encoder_with_head(&mut Weights::read(&folder, &device)?, kind)
    };
    let (encoder, head) = headed().map_err(|failure| failure.message)?;
    Ok(match head {
        Head::Sequence(head) => Network::Engine(Box::new(TorchEngine::of_sequence(encoder, head))),
        Head::Vocabulary(head) => Network::Words(encoder, head),
        Head::Tokens(head) => Network::Engine(Box::new(TorchEngine::of_token_classes(encoder, head))),
    })
}

/// What the network computes for these texts in one batch, in the order of the texts.
fn computed(network: &mut Network, texts: &[&[u32]]) -> Vec<Vec<Vec<f32>>> {
    let packed = Packed::new(texts);
    let rows: Vec<Vec<Vec<f32>>> = match network {
        Network::Engine(engine) => {
            let outputs = engine.pass(&packed, engine.outputs()).unwrap();
            if let Some(tokens) = outputs.token_classes {
                return ordered(tokens.into_iter().map(|rows| first_last_largest(&rows)).collect(), &packed);
            }
            let scores = outputs.scores.map(|scores| scores.into_iter().map(|score| vec![score]).collect());
            outputs.dense.or(outputs.classes).or(scores).unwrap().into_iter().map(|row| vec![row]).collect()
        }
        Network::Words(encoder, head) => {
            let hidden = encoder.encode(&packed).unwrap();
            let logits = Vec::<Vec<f32>>::try_from(head.logits(&hidden).unwrap()).unwrap();
            let weights = |pooling, weight| {
                Vec::<Vec<f32>>::try_from(head.weights(&hidden, &packed, pooling, weight).unwrap()).unwrap()
            };
            let (max, sum) =
                (weights(WordPooling::Max, WordWeight::Log), weights(WordPooling::Sum, WordWeight::LogOfLog));
            let first = packed.positions.iter().zip(logits).filter(|(position, _)| **position == 0);
            first.zip(max).zip(sum).map(|(((_, first), max), sum)| vec![first, max, sum]).collect()
        }
    };
    ordered(rows, &packed)
}

/// Rows in the order of the texts.
fn ordered(rows: Vec<Vec<Vec<f32>>>, packed: &Packed) -> Vec<Vec<Vec<f32>>> {
    let mut ordered = vec![Vec::new(); rows.len()];
    for (row, index) in rows.into_iter().zip(&packed.order) {
        ordered[*index] = row;
    }
    ordered
}

fn first_last_largest(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let largest = |column: usize| rows.iter().map(|row| row[column]).fold(f32::NEG_INFINITY, f32::max);
    vec![rows[0].clone(), rows[rows.len() - 1].clone(), (0..rows[0].len()).map(largest).collect()]
}

/// Cosine, and the largest difference as a share of the largest number, or of 0.1.
fn compare(got: &[f32], expected: &[f32]) -> (f64, f64) {
    assert_eq!(got.len(), expected.len());
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let lengths = (dot(got, got) * dot(expected, expected)).sqrt();
    // Two without a direction have the same.
    let cosine = if got == expected { 1.0 } else { dot(got, expected) / lengths };
    let largest = expected.iter().fold(0.1, |most: f64, x| most.max(f64::from(x.abs())));
    let difference = got.iter().zip(expected).fold(0.0, |most: f64, (x, y)| most.max(f64::from((x - y).abs())));
    // One number has no direction, and its sign may turn near 0.
    (if got.len() == 1 { 1.0 } else { cosine }, difference / largest)
}

/// Compares a case, and returns its faults.
fn check(case: &Case, count: &mut Count) -> Vec<String> {
    let mut network = match open(case, "float32") {
        Ok(network) => network,
        Err(why) => return vec![format!("{}: {why}", case.name)],
    };
    let texts: Vec<&[u32]> = case.texts.iter().map(Vec::as_slice).collect();
    let together = computed(&mut network, &texts);
    let reversed = computed(&mut network, &texts.iter().rev().copied().collect::<Vec<_>>());
    let mut faults = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let alone = computed(&mut network, &[text]).remove(0);
        let ways =
            [("alone", &alone), ("together", &together[index]), ("reversed", &reversed[texts.len() - 1 - index])];
        for (way, rows) in ways {
            assert_eq!(rows.len(), case.computed[index].len());
            for (got, expected) in rows.iter().zip(&case.computed[index]) {
                let (cosine, difference) = compare(got, expected);
                count.cosine = Some(count.cosine.map_or(cosine, |least| least.min(cosine)));
                count.difference = count.difference.max(difference);
                if cosine.is_nan() || cosine < COSINE || difference > DIFFERENCE {
                    let (name, length) = (&case.name, text.len());
                    faults.push(format!("{name}: text of {length}, {way}: cosine {cosine}, difference {difference}"));
                }
            }
        }
    }
    faults
}

#[test]
fn every_family_computes_what_its_reference_computes_for_any_batch_and_order() {
    let _no_grad = own_this_thread(1);
    let (mut counts, mut faults) = (BTreeMap::<(String, String), Count>::new(), Vec::new());
    for path in paths() {
        let case: Case = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let head = case.head.clone().unwrap_or_else(|| "encoder".to_owned());
        let count = counts.entry((case.family.clone(), head)).or_default();
        count.cases += 1;
        faults.extend(check(&case, count));
    }
    println!("{:<16} {:<12} {:>5}  {:<12}  largest difference", "family", "head", "cases", "least cosine");
    for ((family, head), count) in &counts {
        let cosine = count.cosine.map_or_else(|| "-".to_owned(), |least| format!("{least:.9}"));
        println!("{family:<16} {head:<12} {:>5}  {cosine:<12}  {:.1e}", count.cases, count.difference);
    }
    assert!(!counts.is_empty(), "no cases");
    assert!(faults.is_empty(), "{} differences\n{}", faults.len(), faults.join("\n"));
}

/// The outputs that an engine names and gives for each kind of head.
#[test]
fn an_engine_gives_the_outputs_of_its_head() {
    let _no_grad = own_this_thread(1);
    let mut seen = Vec::new();
    for path in paths() {
        let case: Case = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let texts: Vec<&[u32]> = case.texts.iter().map(Vec::as_slice).collect();
        let mut engine = match open(&case, "float32").unwrap() {
            Network::Engine(engine) => *engine,
            Network::Words(encoder, head) => TorchEngine::of_words(encoder, head, WordPooling::Max, WordWeight::Log),
        };
        let packed = Packed::new(&texts);
        let outputs = engine.pass(&packed, engine.outputs()).unwrap();
        assert!(outputs.finite());
        let output = engine.outputs().iter().next().unwrap();
        let given = match (case.head.as_deref(), output) {
            (None, Output::Dense) => outputs.dense.is_some(),
            (Some("sequence"), Output::Score) => outputs.scores.is_some(),
            (Some("sequence"), Output::Classes) => outputs.classes.is_some(),
            (Some("tokens"), Output::TokenClasses) => outputs.token_classes.is_some(),
            (Some("vocabulary"), Output::Sparse) => {
                for (row, index) in outputs.sparse.unwrap().into_iter().zip(&packed.order) {
                    let expected = &case.computed[*index][1];
                    assert!(row.is_sorted_by(|(before, _), (word, _)| before < word), "{}", case.name);
                    let mut weights = vec![0.0; expected.len()];
                    row.into_iter().for_each(|(word, weight)| weights[word as usize] = weight);
                    assert!(compare(&weights, expected).1 < DIFFERENCE, "{}", case.name);
                }
                true
            }
            _ => false,
        };
        assert!(given, "{}: {output}", case.name);
        seen.push(output);
    }
    let kinds = [Output::Dense, Output::Score, Output::Classes, Output::Sparse, Output::TokenClasses];
    assert!(kinds.iter().all(|output| seen.contains(output)));
}

/// Times that the reference may move by rounding, and that a network here may. Its steps are rounded in other places, and the
/// reference ran only a few times. The cosine goes with the square.
const ROUNDING: f64 = 2.0;

/// What a number may differ by where the reference hardly moves, as a share of the largest: a few steps of bfloat16.
const STEPS: f64 = 0.03;

/// Networks of a few dimensions lose more to rounding than real ones, and some much more; so the bound is what rounding does to the
/// reference. This finds a step that has no 16-bit form, takes another type, or is rounded where the reference is exact.
#[test]
fn every_family_runs_in_16_bit_floats_and_is_as_near_as_rounding_lets_it() {
    let _no_grad = own_this_thread(1);
    let mut faults = Vec::new();
    let mut most = 0.0_f64;
    for path in paths() {
        let case: Case = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let texts: Vec<&[u32]> = case.texts.iter().map(Vec::as_slice).collect();
        assert_eq!(case.moved.len(), 2, "{}: both 16-bit types", case.name);
        for (dtype, moved) in &case.moved {
            let mut network = open(&case, dtype).unwrap();
            let rows = computed(&mut network, &texts).into_iter().flatten();
            let expected = case.computed.iter().flatten().zip(moved.iter().flatten());
            for (got, (expected, (apart, moved))) in rows.zip(expected) {
                let (cosine, difference) = compare(&got, expected);
                let of_difference = difference / (ROUNDING * moved + STEPS);
                let of_cosine = (1.0 - cosine) / (ROUNDING * ROUNDING * apart + STEPS * STEPS);
                let share = of_difference.max(of_cosine);
                most = most.max(share);
                // What is no number is a fault, too.
                if share.is_nan() || share > 1.0 {
                    faults.push(format!(
                        "{} in {dtype}: 1 - cosine {:e} and difference {difference}; the reference's own are {apart:e} and {moved}",
                        case.name,
                        1.0 - cosine
                    ));
                }
            }
        }
    }
    println!("at most {most:.2} of what rounding may do");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
