//! Models with random settings against sentence-transformers: the same vectors, or a refusal that names the setting.
//!
//! `parity/make.py` writes the cases. Those in `tests/parity` are committed; `make parity` makes more and sets
//! `BELFRY_PARITY` to their folder.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use belfry_worker::batch::Packed;
use belfry_worker::device::{Device, own_this_thread};
use belfry_worker::engine::{Engine, Output, OutputSet};
use belfry_worker::load::{Loaded, load};
use belfry_worker::metrics::Metrics;
use belfry_worker::respond::Shape;
use cases::Tensor;
use serde::Deserialize;
use serde_json::{Value, json};

/// Smallest cosine between a vector of the worker and the reference's, in float32.
const COSINE: f64 = 0.99999;

/// Largest difference of two lengths, as a share of the length.
const LENGTH: f64 = 1e-3;

#[derive(Deserialize)]
struct Case {
    name: String,
    family: String,
    traits: Vec<String>,
    files: BTreeMap<String, Value>,
    tensors: BTreeMap<String, BTreeMap<String, Tensor>>,
    texts: Vec<String>,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    prompt_name: Option<String>,
    prompt: Option<String>,
    normalize: Option<bool>,
    ids: Vec<Vec<u32>>,
    dense: Vec<Vec<f32>>,
}

/// What became of a case.
enum Verdict {
    /// The smallest cosine.
    Equal(f64),
    Refused(String),
    Different(String),
}

fn folder() -> PathBuf {
    std::env::var_os("BELFRY_PARITY").map_or_else(|| PathBuf::from("tests/parity"), PathBuf::from)
}

fn all() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    paths
}

fn run(case: &Case) -> Verdict {
    let dir = tempfile::TempDir::new().unwrap();
    cases::write(dir.path(), &case.files, &case.tensors);
    match open(dir.path()) {
        Err(message) => Verdict::Refused(message),
        Ok(mut loaded) => compare(case, &mut loaded),
    }
}

fn open(folder: &Path) -> Result<Loaded, String> {
    let args = support::args(&format!("--model {} --dtype float32", folder.display()));
    let device = Device::choose(&args.compute).unwrap();
    load(&args, &device, &Metrics::new().unwrap())
        .map_err(|failure| failure.message.replace(&folder.display().to_string(), ""))
}

fn compare(case: &Case, loaded: &mut Loaded) -> Verdict {
    let mut least = 1.0_f64;
    for request in &case.requests {
        let asked = format!(
            "prompt_name {:?}, prompt {:?}, normalize {:?}",
            request.prompt_name, request.prompt, request.normalize
        );
        let model = &loaded.model;
        let prompt = match (&request.prompt_name, &request.prompt) {
            (Some(name), _) => model.prompt_named(name).expect("a prompt of the model"),
            (None, Some(text)) => model.prompt(text.clone()),
            (None, None) => model.default_prompt(),
        };
        let mut encoded = Vec::new();
        for (text, ids) in case.texts.iter().zip(&request.ids) {
            match model.encode(&prompt, text, true) {
                Ok(own) if own.ids() == ids => encoded.push(own),
                Ok(own) => {
                    return Verdict::Different(format!("{asked}: {text:?} has ids {:?}, not {ids:?}", own.ids()));
                }
                // A text beside whose prompt nothing is left has a vector of nothing in the reference.
                Err(refused) => return Verdict::Refused(format!("a text {refused}")),
            }
        }
        let packed = Packed::of(&encoded.iter().collect::<Vec<_>>());
        let shape = Shape::of(&model.presets, request.normalize, None);
        let rows = loaded.engine.pass(&packed, OutputSet::of([Output::Dense])).unwrap().dense.unwrap();
        for (row, index) in rows.into_iter().zip(&packed.order) {
            let (got, expected) = (shape.apply(row), &request.dense[*index]);
            match near(&got, expected) {
                Ok(cosine) => least = least.min(cosine),
                Err(why) => return Verdict::Different(format!("{asked}: {:?}: {why}", case.texts[*index])),
            }
        }
    }
    Verdict::Equal(least)
}

fn near(got: &[f32], expected: &[f32]) -> Result<f64, String> {
    if got.len() != expected.len() {
        return Err(format!("{} values, not {}", got.len(), expected.len()));
    }
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let (own, other) = (dot(got, got).sqrt(), dot(expected, expected).sqrt());
    // Some activations and poolings give nothing but zeros.
    if own < 1e-6 && other < 1e-6 {
        return Ok(1.0);
    }
    let cosine = dot(got, expected) / (own * other);
    if cosine.is_nan() || cosine < COSINE {
        return Err(format!("cosine {cosine}"));
    }
    if (own - other).abs() > LENGTH * other {
        return Err(format!("length {own}, not {other}"));
    }
    Ok(cosine)
}

/// Writes what was measured, as a benchmark does, where a path for it is set.
fn report(counts: &BTreeMap<String, Count>) {
    let Some(path) = std::env::var_os("BELFRY_PARITY_REPORT").map(PathBuf::from) else { return };
    let sum = |of: fn(&Count) -> usize| counts.values().map(of).sum::<usize>() as f64;
    let least = counts.values().filter_map(|count| count.least).fold(1.0, f64::min);
    let line = |metric: String, ours: f64, target: Option<f64>, holds: bool| json!({ "metric": metric, "ours": ours, "reference": null, "ratio": null, "target": target, "holds": holds });
    let folders = sum(|count| count.equal + count.refused + count.different);
    let mut lines = vec![
        line("folders".to_owned(), folders, Some(500.0), folders >= 500.0),
        line("silent differences".to_owned(), sum(|c| c.different), Some(0.0), sum(|c| c.different) == 0.0),
        line("least cosine".to_owned(), least, Some(COSINE), least >= COSINE),
        line("refused".to_owned(), sum(|count| count.refused), None, true),
    ];
    for (family, count) in counts {
        lines.push(line(
            format!("least cosine of {family}"),
            count.least.unwrap_or(0.0),
            Some(COSINE),
            count.different == 0,
        ));
        lines.push(line(format!("refused of {family}"), count.refused as f64, None, true));
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, serde_json::to_string_pretty(&lines).unwrap()).unwrap();
}

/// What the cases of a family came to.
#[derive(Default)]
struct Count {
    equal: usize,
    refused: usize,
    different: usize,
    least: Option<f64>,
}

#[test]
fn a_folder_is_served_as_sentence_transformers_serves_it_or_refused_by_name() {
    let _no_grad = own_this_thread(1);
    let (mut counts, mut faults, mut refusals) =
        (BTreeMap::<String, Count>::new(), Vec::new(), BTreeMap::<String, usize>::new());
    let paths = all();
    assert!(paths.len() >= 20, "{} cases in {}", paths.len(), folder().display());
    for path in &paths {
        let case: Case = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let count = counts.entry(case.family.clone()).or_default();
        match run(&case) {
            Verdict::Equal(least) => {
                count.equal += 1;
                count.least = Some(count.least.map_or(least, |own| own.min(least)));
            }
            Verdict::Refused(why) => {
                count.refused += 1;
                *refusals.entry(why).or_default() += 1;
            }
            Verdict::Different(why) => {
                count.different += 1;
                faults.push(format!("{} ({}): {why}", case.name, case.traits.join(", ")));
            }
        }
    }
    println!("{:<14} {:>6} {:>8} {:>10}  least cosine", "family", "equal", "refused", "different");
    for (family, count) in &counts {
        let least = count.least.map_or_else(|| "-".to_owned(), |least| format!("{least:.9}"));
        println!("{family:<14} {:>6} {:>8} {:>10}  {least}", count.equal, count.refused, count.different);
    }
    for (why, count) in &refusals {
        println!("refused {count:>4}  {why}");
    }
    report(&counts);
    assert!(faults.is_empty(), "{} silent differences\n{}", faults.len(), faults.join("\n"));
    let (equal, refused) = counts.values().fold((0, 0), |(e, r), count| (e + count.equal, r + count.refused));
    assert!(equal >= 3 * refused, "{refused} of {} folders are refused, which is no longer a test", equal + refused);
}
