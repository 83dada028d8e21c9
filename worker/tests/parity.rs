//! Models with random settings against sentence-transformers: the same vectors, or a refusal that names the setting.
//!
//! `parity/make.py` writes the cases. Those in `tests/parity` are committed; `make parity` makes more and sets
//! `BELFRY_PARITY` to their folder.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

#[path = "support/cases.rs"]
mod cases;
mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use belfry_worker::batch::Packed;
use belfry_worker::device::{Device, own_this_thread};
use belfry_worker::engine::{Engine, Output, OutputSet, Row};
use belfry_worker::load::{Loaded, load};
use belfry_worker::metrics::Metrics;
use belfry_worker::model::entities::{Aggregation, Wanted, entities};
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
    purpose: Purpose,
    /// The task that the worker is started for; auto without one.
    #[serde(default)]
    task: Option<String>,
    texts: Vec<String>,
    pairs: Vec<(String, String)>,
    requests: Vec<Request>,
}

impl Case {
    /// The line of the table.
    fn key(&self) -> String {
        let purpose = match self.purpose {
            Purpose::Vectors if self.traits.iter().any(|name| name == "StaticEmbedding") => " table",
            Purpose::Vectors => "",
            Purpose::Labels => " labels",
            Purpose::Answers => " answers",
            Purpose::Words => " words",
            Purpose::Tokens => " tokens",
            Purpose::Entities => " entities",
        };
        format!("{}{purpose}", self.family)
    }
}

/// What a case is for.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Purpose {
    Vectors,
    Labels,
    Answers,
    Words,
    Tokens,
    Entities,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    types: Vec<Vec<i64>>,
    #[serde(default)]
    labels: Vec<Vec<f32>>,
    #[serde(default)]
    sparse: Vec<Vec<(u32, f32)>>,
    prompt_name: Option<String>,
    prompt: Option<String>,
    normalize: Option<bool>,
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    dense: Vec<Vec<f32>>,
    /// Vectors of each text's tokens.
    #[serde(default)]
    multi: Vec<Vec<Vec<f32>>>,
    /// The score of each text as a document for itself as a query.
    #[serde(default)]
    max_sim: Vec<f32>,
    /// How entities are made, the labels that are left out, and the entities.
    #[serde(default)]
    aggregation: Aggregation,
    #[serde(default)]
    ignored: HashSet<String>,
    #[serde(default)]
    entities: Vec<Vec<Value>>,
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

/// The cases of the folder, and those that are built as well-known models are (`parity/shapes.py`).
fn all() -> Vec<PathBuf> {
    let read = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = read(folder()).chain(read("tests/shapes".into())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    paths
}

fn run(case: &Case) -> Verdict {
    let dir = tempfile::TempDir::new().unwrap();
    cases::write(dir.path(), &case.files, &case.tensors);
    match open(dir.path(), case.task.as_deref()) {
        Err(message) => Verdict::Refused(message),
        Ok(mut loaded) => compare(case, &mut loaded),
    }
}

fn open(folder: &Path, task: Option<&str>) -> Result<Loaded, String> {
    let flags = format!("--model {} --dtype float32 --task {}", folder.display(), task.unwrap_or("auto"));
    let args = support::args(&flags);
    let device = Device::choose(&args.compute).unwrap();
    load(&args, &device, &Metrics::new().unwrap())
        .map_err(|failure| failure.message.replace(&folder.display().to_string(), ""))
}

fn compare(case: &Case, loaded: &mut Loaded) -> Verdict {
    let mut least = 1.0_f64;
    for request in &case.requests {
        match answer(case, loaded, request) {
            Verdict::Equal(cosine) => least = least.min(cosine),
            other => return other,
        }
        if !request.max_sim.is_empty() {
            let scores = max_sim(case, loaded);
            if let Err(why) = close(&scores, &request.max_sim) {
                return Verdict::Different(format!("scores {why}"));
            }
        }
    }
    Verdict::Equal(least)
}

/// The score of each text as a document for itself as a query, one text a batch.
fn max_sim(case: &Case, loaded: &mut Loaded) -> Vec<f32> {
    let how = loaded.model.presets.max_sim.expect("a model for late interaction");
    let prompts = [loaded.model.prompt_named("query").unwrap(), loaded.model.default_prompt()];
    let score = |text: &String| {
        let [query, document] = prompts.each_ref().map(|prompt| {
            let encoded = loaded.model.encode(prompt, text, true).unwrap();
            let outputs = loaded.engine.pass(&Packed::of(&[&encoded]), OutputSet::of([Output::MultiVector])).unwrap();
            outputs.multi_vector.unwrap().remove(0)
        });
        how.score(&query, &document)
    };
    case.texts.iter().map(score).collect()
}

/// One request, in one batch.
fn answer(case: &Case, loaded: &mut Loaded, request: &Request) -> Verdict {
    let Request { prompt_name, prompt, normalize, ids, types, labels, sparse, dense, multi, .. } = request;
    let asked = format!("prompt_name {prompt_name:?}, prompt {prompt:?}, normalize {normalize:?}");
    let model = &loaded.model;
    let prompt = match (prompt_name, prompt) {
        (Some(name), _) => model.prompt_named(name).expect("a prompt of the model"),
        (None, Some(text)) => model.prompt(text.clone()),
        (None, None) => model.default_prompt(),
    };
    let mut encoded = Vec::new();
    for (index, ids) in ids.iter().enumerate() {
        let own = if matches!(case.purpose, Purpose::Labels | Purpose::Answers) {
            let (one, two) = &case.pairs[index];
            model.encode_pair(&prompt, (one, two), true)
        } else {
            model.encode(&prompt, &case.texts[index], true)
        };
        match own {
            Ok(own) if own.ids() != ids => {
                return Verdict::Different(format!("{asked}: text {index} has ids {:?}, not {ids:?}", own.ids()));
            }
            // The reference's own network takes no types where the tokenizer gives none.
            Ok(own) if types.get(index).is_some_and(|types| !own.types().eq(types.iter().copied())) => {
                return Verdict::Different(format!("{asked}: text {index} has other types than {:?}", types[index]));
            }
            Ok(own) => encoded.push(own),
            // A text beside whose prompt nothing is left has a vector of nothing in the reference.
            Err(refused) => return Verdict::Refused(format!("a text {refused}")),
        }
    }
    let packed = Packed::of(&encoded.iter().collect::<Vec<_>>());
    let model = &loaded.model;
    let mut wanted = vec![match case.purpose {
        Purpose::Vectors => Output::Dense,
        Purpose::Words => Output::Sparse,
        Purpose::Tokens => Output::MultiVector,
        Purpose::Entities => Output::TokenClasses,
        Purpose::Answers => Output::Score,
        Purpose::Labels if model.outputs.has(Output::Score) => Output::Score,
        Purpose::Labels => Output::Classes,
    }];
    if case.purpose == Purpose::Vectors {
        wanted.extend((!sparse.is_empty()).then_some(Output::Sparse));
        wanted.extend((!multi.is_empty()).then_some(Output::MultiVector));
    }
    let mut outputs = loaded.engine.pass(&packed, OutputSet::of(wanted.iter().copied())).unwrap();
    let shape = Shape::of(&model.presets, *normalize, None);
    let vocabulary = model.tokenizer.vocabulary();
    let mut least = 1.0_f64;
    for (row, index) in packed.order.iter().enumerate() {
        for output in &wanted {
            let near = match outputs.take(*output, row).expect("a row") {
                Row::Dense(vector) => near(&shape.apply(vector), &dense[*index]),
                Row::Score(score) => close(&model.defined(vec![score]), &labels[*index]),
                Row::Classes(numbers) => close(&model.defined(numbers), &labels[*index]),
                Row::Sparse(words) => near(&spread(&words, vocabulary), &spread(&sparse[*index], vocabulary)),
                Row::MultiVector(vectors) => all_near(&vectors, &multi[*index]),
                Row::TokenClasses(numbers) => same_entities(case, loaded, request, (*index, &numbers)),
            };
            match near {
                Ok(cosine) => least = least.min(cosine),
                Err(why) => return Verdict::Different(format!("{asked}: {output} of text {index}: {why}")),
            }
        }
    }
    Verdict::Equal(least)
}

/// Entities that are alike but for the rounding of their scores.
fn same_entities(
    case: &Case,
    loaded: &Loaded,
    request: &Request,
    (index, numbers): (usize, &[Vec<f32>]),
) -> Result<f64, String> {
    let Loaded { model, .. } = loaded;
    let wanted = Wanted { labels: &model.presets.labels, aggregation: request.aggregation, ignored: &request.ignored };
    let pieces = model.tokenizer.pieces(&case.texts[index]).map_err(|refused| refused.to_string())?;
    if pieces.len() != numbers.len() {
        return Err(format!("{} pieces of {} tokens", pieces.len(), numbers.len()));
    }
    let own = entities(&pieces, numbers, &wanted, |tokens| model.tokenizer.joined(tokens));
    let (mut own, mut other) = (json!(own), json!(request.entities[index]));
    let scores = |entities: &mut Value| -> Vec<f32> {
        let each = entities.as_array_mut().unwrap().iter_mut();
        each.map(|entity| entity["score"].take().as_f64().unwrap() as f32).collect()
    };
    let scores = (scores(&mut own), scores(&mut other));
    if own != other {
        let (own, other) = (own.as_array().unwrap(), other.as_array().unwrap());
        let first = (0..own.len().max(other.len())).find(|place| own.get(*place) != other.get(*place)).unwrap();
        return Err(format!(
            "{:?}: entity {first} is {:?}, not {:?}",
            request.aggregation,
            own.get(first),
            other.get(first)
        ));
    }
    close(&scores.0, &scores.1)
}

/// Weights of some words, as a vector over all of them.
fn spread(words: &[(u32, f32)], vocabulary: usize) -> Vec<f32> {
    let mut all = vec![0.0; vocabulary];
    words.iter().for_each(|(word, weight)| all[*word as usize] = *weight);
    all
}

/// As many vectors, and each like the other's.
fn all_near(got: &[Vec<f32>], expected: &[Vec<f32>]) -> Result<f64, String> {
    if got.len() != expected.len() {
        return Err(format!("{} vectors, not {}", got.len(), expected.len()));
    }
    let mut each = got.iter().zip(expected).map(|(got, expected)| near(got, expected));
    each.try_fold(1.0, |least: f64, cosine| Ok(least.min(cosine?)))
}

/// Numbers that are no vectors are compared one by one.
fn close(got: &[f32], expected: &[f32]) -> Result<f64, String> {
    let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs().max(1.0);
    if got.len() == expected.len() && got.iter().zip(expected).all(same) {
        return Ok(1.0);
    }
    Err(format!("{got:?}, not {expected:?}"))
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
        let count = counts.entry(case.key()).or_default();
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
    println!("{:<20} {:>6} {:>8} {:>10}  least cosine", "family", "equal", "refused", "different");
    for (family, count) in &counts {
        let least = count.least.map_or_else(|| "-".to_owned(), |least| format!("{least:.9}"));
        println!("{family:<20} {:>6} {:>8} {:>10}  {least}", count.equal, count.refused, count.different);
    }
    for (why, count) in &refusals {
        println!("refused {count:>4}  {why}");
    }
    report(&counts);
    assert!(faults.is_empty(), "{} silent differences\n{}", faults.len(), faults.join("\n"));
    let (equal, refused) = counts.values().fold((0, 0), |(e, r), count| (e + count.equal, r + count.refused));
    assert!(equal >= 3 * refused, "{refused} of {} folders are refused, which is no longer a test", equal + refused);
}
