//! Folders of models with one changed file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use belfry_worker::batch::Packed;
use belfry_worker::device::{Device, own_this_thread};
use belfry_worker::engine::Engine;
use belfry_worker::load::load;
use belfry_worker::metrics::Metrics;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cases::Cases;
use crate::random::{Random, mutate, spoil};
use crate::requests::names_in;
use crate::written::Tensor;
use crate::{bad, support, tiny, written};

/// A file of the weights' format.
const WEIGHTS: &str = ".safetensors";

/// The files of a folder, by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// A small model with every file that a folder may have.
fn small() -> Files {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, value: Value| tiny::write_json(&dir.path().join(name), &value);
    tiny::write(dir.path());
    let special = json!({ "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]" });
    let mut tokens = special.clone();
    tokens["tokenizer_class"] = json!("PreTrainedTokenizerFast");
    tokens["model_max_length"] = json!(16);
    write("special_tokens_map.json", special);
    write("tokenizer_config.json", tokens);
    let prompts = json!({ "prompts": { "query": "w1 " }, "default_prompt_name": null, "similarity_fn_name": "cosine" });
    write("config_sentence_transformers.json", prompts);
    write("sentence_bert_config.json", json!({ "max_seq_length": 12, "do_lower_case": false }));
    read(dir.path())
}

/// A case of `parity.rs`: a model of some family.
#[derive(Deserialize)]
struct Parity {
    files: BTreeMap<String, Value>,
    tensors: BTreeMap<String, BTreeMap<String, Tensor>>,
}

/// Folders of every family, the small one first.
fn folders() -> Vec<Files> {
    let mut cases: Vec<_> = fs::read_dir("tests/parity").unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let folder = |path| {
        let case: Parity = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let dir = TempDir::new().unwrap();
        written::write(dir.path(), &case.files, &case.tensors);
        read(dir.path())
    };
    std::iter::once(small()).chain(cases.into_iter().map(folder)).collect()
}

fn read(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// The JSON of a file, or of the header of one of weights.
fn json_of(name: &str, bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(if name.ends_with(WEIGHTS) { &bytes[8..8 + header(bytes)] } else { bytes }).ok()
}

fn header(bytes: &[u8]) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap()
}

/// A file with a change: as JSON, or as bytes.
fn changed(name: &str, bytes: &[u8], names: &[&str], random: &mut Random) -> Vec<u8> {
    match json_of(name, bytes) {
        Some(mut json) if !random.once_in(4) => {
            for _ in 0..=random.below(3) {
                mutate(&mut json, names, random);
            }
            let json = json.to_string().into_bytes();
            if name.ends_with(WEIGHTS) {
                [&(json.len() as u64).to_le_bytes()[..], &json, &bytes[8 + header(bytes)..]].concat()
            } else {
                json
            }
        }
        _ => {
            let mut bytes = bytes.to_vec();
            spoil(&mut bytes, random);
            bytes
        }
    }
}

/// Names of settings of all folders, so that a mutated file gets some that mean something.
fn names(folders: &[Files]) -> Vec<String> {
    let mut names = Vec::new();
    let files = folders.iter().flatten().filter(|(name, _)| *name != "tokenizer.json");
    files.filter_map(|(name, bytes)| json_of(name, bytes)).for_each(|json| names_in(&json, &mut names));
    names
        .extend(["normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "vocab"].map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

/// Loads a folder and computes with it; says why it is refused.
fn attempt(files: &Files) -> Result<(), String> {
    let dir = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::create_dir_all(dir.path().join("2_Normalize")).unwrap();
    let args = support::args(&format!("--model {} --dtype float32", dir.path().display()));
    let device = Device::choose(&args.compute).unwrap();
    let mut loaded = load(&args, &device, &Metrics::new().unwrap()).map_err(|failure| failure.message)?;
    let model = &loaded.model;
    let encoded = ["w1 w2", "", "x", "[CLS] w1"].map(|text| model.encode(&model.default_prompt(), text, true));
    let texts: Vec<_> = encoded.iter().flatten().collect();
    if !texts.is_empty() {
        loaded.engine.pass(&Packed::of(&texts), loaded.model.outputs).unwrap();
    }
    // Whether a pair is taken is the model's; what counts is that it is answered.
    let _ = model.encode_pair(&model.default_prompt(), ("w1 w2", "x"), true);
    Ok(())
}

#[test]
fn a_mutated_folder_loads_or_is_refused_with_the_name_of_a_file() {
    let _no_grad = own_this_thread(1);
    let folders = folders();
    let names = names(&folders);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    attempt(&folders[0]).unwrap();
    let mut cases = Cases::start();
    let (mut loaded, mut refused) = (0, 0);
    while let Some((mut case, mut random)) = cases.next() {
        // The small one loads in the least time.
        let mut files = folders[if random.once_in(2) { 0 } else { random.below(folders.len()) }].clone();
        let list: Vec<String> = files.keys().cloned().collect();
        let file = &list[random.below(list.len())];
        let bytes = changed(file, &files[file], &names, &mut random);
        case.was(file, &bytes);
        files.insert(file.clone(), bytes);
        match attempt(&files) {
            Ok(()) => loaded += 1,
            Err(message) => {
                refused += 1;
                assert_eq!(bad::unplain(&message), None, "{message}");
                let names = files.keys().any(|name| message.contains(name));
                // One may be missing that another file names.
                assert!(names || message.contains("is missing"), "no file is named: {message}");
            }
        }
    }
    println!("{loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}
