//! Folders that are broken in one place: each is refused with one clear line that names the file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/bad.rs"]
mod bad;
#[path = "support/tiny.rs"]
mod tiny;

use std::fs;
use std::path::Path;

use belfry_crds::contract::load_failure::LoadFailure;
use belfry_worker::device::Device;
use belfry_worker::load::load;
use belfry_worker::metrics::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";
const SENTENCES: &str = "config_sentence_transformers.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const WEIGHTS: &str = "model.safetensors";

/// A name, the file that is broken, and how.
type Row = (String, &'static str, Box<dyn FnOnce(&Path)>);

/// Why a model with this change is refused; `None` if it loads.
fn failure(change: impl FnOnce(&Path)) -> Option<LoadFailure> {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    change(dir.path());
    let args = support::args(&format!("--model {} --dtype float32", dir.path().display()));
    load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap()).err()
}

/// Asserts that each change is refused with one line that names the file.
fn refused(rows: impl IntoIterator<Item = Row>) -> usize {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (name, file, change) in rows {
        count += 1;
        match failure(change) {
            None => wrong.push(format!("{name}: it loaded")),
            Some(failure) => {
                wrong.extend(bad::unplain(&failure.message).map(|why| format!("{name}: {why}: {}", failure.message)));
                if !failure.message.contains(file) {
                    wrong.push(format!("{name}: {} is not named in: {}", file, failure.message));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

fn edited(file: &'static str, pointer: &'static str, value: Value) -> Row {
    let name = format!("{file} with {pointer} {value}");
    let change = move |folder: &Path| {
        let path = folder.join(file);
        let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = json.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            other => other[key] = value,
        }
        tiny::write_json(&path, &json);
    };
    (name, file, Box::new(change))
}

fn written(file: &'static str, name: &str, bytes: impl AsRef<[u8]> + 'static) -> Row {
    (format!("{file} with {name}"), file, Box::new(move |folder: &Path| fs::write(folder.join(file), bytes).unwrap()))
}

#[test]
fn files_that_hold_something_else_are_named() {
    let mut rows = Vec::new();
    for file in [CONFIG, TOKENIZER, MODULES, POOLING] {
        rows.push(written(file, "nothing", ""));
        rows.push(written(file, "half an object", "{\"a\": "));
        rows.push(written(file, "an array of numbers", "[1, 2]"));
        rows.push(written(file, "a number", "5"));
        rows.push(written(file, "null", "null"));
        rows.push(written(file, "a page of a server", "<!DOCTYPE html><html>404</html>"));
        rows.push(written(
            file,
            "a pointer of git-lfs",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        ));
        rows.push(written(file, "not UTF-8", b"{\"a\": \"\xff\"}"));
        rows.push(written(file, "deep brackets", "[".repeat(100_000)));
    }
    rows.push(written(WEIGHTS, "nothing", ""));
    rows.push(written(WEIGHTS, "a page of a server", "<!DOCTYPE html><html>404</html>"));
    rows.push(written(
        WEIGHTS,
        "a pointer of git-lfs",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    ));
    rows.push(written(WEIGHTS, "an empty header", [&2_u64.to_le_bytes()[..], b"{}"].concat()));
    assert!(refused(rows) >= 40);
}

/// Weights whose header is this text.
fn headed(name: &str, header: impl AsRef<str>) -> Row {
    let header = header.as_ref().as_bytes();
    written(WEIGHTS, name, [&(header.len() as u64).to_le_bytes()[..], header].concat())
}

/// Weights with one tensor that is described so.
fn described(tensor: &Value) -> Row {
    headed(&tensor.to_string(), json!({ "embeddings.LayerNorm.bias": tensor }).to_string())
}

#[test]
fn headers_of_weights_that_are_none_are_named() {
    let rows = vec![
        // Found by fuzz.rs.
        described(&json!({ "dtype": "F32", "shape": [8], "data_offsets": [2880, null] })),
        described(&json!({ "dtype": "F32", "shape": [8], "data_offsets": [0] })),
        described(&json!({ "dtype": "F32", "shape": [8], "data_offsets": [32, 0] })),
        described(&json!({ "dtype": "F32", "shape": [8], "data_offsets": [0, u64::MAX] })),
        described(&json!({ "dtype": "F32", "shape": [u64::MAX, u64::MAX], "data_offsets": [0, 32] })),
        described(&json!({ "dtype": "F32", "shape": {}, "data_offsets": [0, 32] })),
        described(&json!({ "dtype": "F4", "shape": [1], "data_offsets": [0, 0] })),
        described(&json!({ "dtype": "F31", "shape": [8], "data_offsets": [0, 32] })),
        described(&json!({ "dtype": 5, "shape": [8], "data_offsets": [0, 32] })),
        described(&json!({ "shape": [8], "data_offsets": [0, 32] })),
        described(&json!(null)),
        headed("nothing in its header", " "),
        headed("half a header", "{\"a\": "),
        headed("an array as its header", "[1]"),
        headed("a text as the metadata", r#"{"__metadata__": "x"}"#),
        headed("a name of many lines", format!(r#"{{"{}": null}}"#, "a\\n".repeat(1000))),
        headed("deep brackets", "[".repeat(100_000)),
    ];
    assert_eq!(refused(rows), 17);
}

#[test]
fn settings_that_are_no_settings_are_named() {
    let rows = vec![
        edited(CONFIG, "/hidden_size", json!("8")),
        edited(CONFIG, "/hidden_size", json!(-8)),
        edited(CONFIG, "/hidden_size", json!(7)),
        edited(CONFIG, "/hidden_size", json!(1_000_000_000_000_u64)),
        edited(CONFIG, "/num_hidden_layers", json!(0)),
        edited(CONFIG, "/num_hidden_layers", json!(1.5)),
        edited(CONFIG, "/num_attention_heads", json!(0)),
        edited(CONFIG, "/num_attention_heads", json!(3)),
        edited(CONFIG, "/vocab_size", json!(0)),
        edited(CONFIG, "/vocab_size", json!(null)),
        edited(CONFIG, "/max_position_embeddings", json!(0)),
        edited(CONFIG, "/hidden_act", json!("swoosh")),
        edited(CONFIG, "/hidden_act", json!(5)),
        edited(CONFIG, "/layer_norm_eps", json!(-1.0)),
        edited(CONFIG, "/layer_norm_eps", json!("tiny")),
        edited(CONFIG, "/architectures", json!(["GPT2LMHeadModel"])),
        edited(CONFIG, "/architectures", json!("BertModel")),
        edited(CONFIG, "/model_type", json!(5)),
        edited(CONFIG, "/model_type", json!("gpt2")),
        // The rest of this file counts for little: the class of this tokenizer is built from its vocabulary, as in transformers.
        edited(TOKENIZER, "/model/type", json!("Words")),
        edited(TOKENIZER, "/normalizer", json!({ "type": "Upper" })),
        edited(TOKENIZER, "/pre_tokenizer", json!(5)),
        edited(TOKENIZER, "/added_tokens", json!("none")),
        edited(TOKENIZER, "/model", json!(null)),
        edited(TOKENIZER, "/model", json!({})),
        edited(TOKENIZER, "/model/vocab", json!([])),
        // Found by fuzz.rs.
        edited(TOKENIZER, "/model/vocab/w1", json!({})),
        edited(TOKENIZER, "/post_processor/special_tokens", json!({})),
        edited(TOKENIZER, "/post_processor/single/0", json!({ "Sequence": { "id": "B", "type_id": 0 } })),
        edited(CONFIG, "/hidden_size", json!("many\nlines ".repeat(1000))),
        edited(CONFIG, "/hidden_act", json!("many\nlines ".repeat(1000))),
        edited(CONFIG, "/architectures", json!(["many\nlines ".repeat(1000)])),
        edited(MODULES, "/0/type", json!("sentence_transformers.models.Unknown")),
        edited(MODULES, "/1/path", json!("../elsewhere")),
        edited(MODULES, "/1/path", json!("/etc")),
        edited(MODULES, "/1/type", json!(5)),
        edited(MODULES, "/1", json!({ "idx": 1 })),
        edited(POOLING, "/pooling_mode_mean_tokens", json!("yes")),
        edited(POOLING, "/pooling_mode", json!("median")),
        // What the library takes for other modules than it seems.
        edited(POOLING, "/pooling_mode", json!([])),
        edited(MODULES, "/1/name", json!("0")),
        edited(MODULES, "/0/kwargs", json!({ "task": 1 })),
        written(SENTENCES, "no type", json!({ "model_type": null }).to_string()),
        // And for other lengths.
        written(TOKENIZER_CONFIG, "no token", json!({ "model_max_length": 0 }).to_string()),
        written(TOKENIZER_CONFIG, "a length below none", json!({ "model_max_length": -1 }).to_string()),
        written(TOKENIZER_CONFIG, "a flag as length", json!({ "model_max_length": true }).to_string()),
        written(TOKENIZER_CONFIG, "a text as length", json!({ "model_max_length": "512" }).to_string()),
        written(TOKENIZER_CONFIG, "half a token", json!({ "model_max_length": 15.5 }).to_string()),
    ];
    assert!(refused(rows) >= 29);
}
