//! Folders that are not a model: each is refused with its reason, in one line that names the file and says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use belfry_crds::contract::load_failure::LoadFailureReason::{self, *};
use belfry_worker::batch::Packed;
use belfry_worker::device::Device;
use belfry_worker::engine::{Engine, EngineError, Output, OutputSet};
use belfry_worker::folder::digest::sha256;
use belfry_worker::load::{Loaded, load, manifest};
use belfry_worker::metrics::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;

fn try_load(folder: &Path) -> Result<Loaded, belfry_crds::contract::load_failure::LoadFailure> {
    let args = support::args(&format!("--model {} --dtype float32", folder.display()));
    load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())
}

/// Breaks a good model, and asserts how it is refused.
fn refused(name: &str, spoil: impl FnOnce(&Path), reason: LoadFailureReason, says: &[&str]) {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    spoil(dir.path());
    let failure = try_load(dir.path()).err().unwrap_or_else(|| panic!("{name}: it loaded"));
    assert_eq!(failure.reason, reason, "{name}: {}", failure.message);
    for part in says {
        assert!(failure.message.contains(part), "{name}: {:?} lacks {part:?}", failure.message);
    }
    assert!(!failure.message.contains('\n') && failure.message.len() < 500, "{name}: {}", failure.message);
}

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    tiny::write_json(&path, &value);
}

fn remove(file: &'static str) -> impl FnOnce(&Path) {
    move |folder| fs::remove_file(folder.join(file)).unwrap()
}

fn overwrite(file: &'static str, bytes: impl AsRef<[u8]>) -> impl FnOnce(&Path) {
    move |folder| fs::write(folder.join(file), bytes).unwrap()
}

fn dense(loaded: &mut Loaded, texts: &[&[u32]]) -> Vec<Vec<f32>> {
    loaded.engine.pass(&Packed::new(texts), OutputSet::of([Output::Dense])).unwrap().dense.unwrap()
}

const WEIGHTS: &str = "model.safetensors";

#[test]
fn a_good_folder_loads_and_computes() {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    let mut loaded = try_load(dir.path()).unwrap();
    let rows = dense(&mut loaded, &[&[2, 4, 3], &[2, 3]]);
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8]);
    assert_eq!(loaded.model.tokenizer.max_tokens(), 16);
    assert_eq!(loaded.model.about.digest.len(), 64);
}

#[test]
fn an_encoder_with_pooling_has_vectors_of_texts_and_tokens_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    let Loaded { mut engine, model, .. } = try_load(dir.path()).unwrap();
    let has = [Output::Dense, Output::MultiVector];
    assert_eq!((engine.outputs(), model.outputs), (OutputSet::of(has), OutputSet::of(has)));
    for output in Output::ALL.into_iter().filter(|output| !has.contains(output)) {
        let both = OutputSet::of([Output::Dense, output]);
        let error = engine.pass(&Packed::new(&[&[2, 3]]), both).unwrap_err();
        assert_eq!(error, EngineError::NoSuchOutput(output));
        assert_eq!(error.to_string(), format!("the model has no {output} output"));
    }
}

#[test]
fn the_digest_is_of_the_files_that_are_loaded_and_of_no_others() {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    fs::write(dir.path().join("README.md"), "one").unwrap();
    let files = ["1_Pooling/config.json", "config.json", WEIGHTS, "modules.json", "tokenizer.json"];
    let lines = files.map(|file| format!("{}  {file}\n", sha256(fs::read(dir.path().join(file)).unwrap())));
    let digest = sha256(lines.concat());
    assert_eq!(manifest(dir.path()).unwrap().text(), lines.concat());
    assert_eq!(try_load(dir.path()).unwrap().model.about.digest, digest);
    fs::write(dir.path().join("README.md"), "two").unwrap();
    assert_eq!(manifest(dir.path()).unwrap().digest(), digest);
    fs::write(dir.path().join("config.json"), fs::read_to_string(dir.path().join("config.json")).unwrap() + " ")
        .unwrap();
    assert_ne!(manifest(dir.path()).unwrap().digest(), digest);
}

#[test]
fn a_model_with_another_digest_is_refused_by_both_names() {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    let digest = manifest(dir.path()).unwrap().digest();
    let with = |wanted: &str| {
        let args = support::args(&format!("--model {} --dtype float32 --model-sha256 {wanted}", dir.path().display()));
        load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())
    };
    assert_eq!(with(&digest).unwrap().model.about.digest, digest);
    let other = "0".repeat(64);
    let failure = with(&other).err().unwrap();
    assert_eq!(failure.reason, DigestMismatch);
    assert!(failure.message.contains(&digest) && failure.message.contains(&other), "{}", failure.message);
}

#[test]
fn a_folder_that_is_not_there() {
    let failure = try_load(Path::new("/nowhere/minilm")).err().unwrap();
    assert_eq!(failure.reason, ModelNotFound);
    assert!(failure.message.starts_with("/nowhere/minilm: "), "{}", failure.message);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(try_load(file.path()).err().unwrap().reason, ModelNotFound);
}

#[test]
fn files_that_are_missing_empty_or_not_what_they_are_called() {
    for file in ["config.json", "tokenizer.json", WEIGHTS, "1_Pooling/config.json"] {
        refused(file, remove(file), FileMissing, &[file, "missing"]);
        refused(file, overwrite(file, ""), FileCorrupt, &[file, "empty"]);
        refused(file, overwrite(file, "not what it should be"), FileCorrupt, &[file]);
        refused(
            file,
            |folder| {
                fs::remove_file(folder.join(file)).unwrap();
                fs::create_dir(folder.join(file)).unwrap();
            },
            FileCorrupt,
            &[file, "not a file"],
        );
    }
    refused("modules.json", overwrite("modules.json", "[{]"), FileCorrupt, &["modules.json"]);
    refused(
        "a pickle",
        |folder| {
            remove(WEIGHTS)(folder);
            overwrite("pytorch_model.bin", "x")(folder);
        },
        FileMissing,
        &["pytorch_model.bin", "safetensors"],
    );
    refused(
        "a renamed pickle",
        overwrite(WEIGHTS, b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl"),
        FileCorrupt,
        &[WEIGHTS, "no safetensors"],
    );
}

#[test]
fn weights_that_lie_about_themselves() {
    let good = tiny::weights(&tiny::shapes(), 1.0);
    refused("truncated", overwrite(WEIGHTS, &good[..good.len() - 1]), FileCorrupt, &["not complete"]);
    refused("longer", overwrite(WEIGHTS, [good.as_slice(), b"x"].concat()), FileCorrupt, &["not complete"]);
    refused("half a header", overwrite(WEIGHTS, &good[..100]), FileCorrupt, &["header"]);
    refused("seven bytes", overwrite(WEIGHTS, &good[..7]), FileCorrupt, &["header"]);
    refused(
        "a header of 100 GB",
        overwrite(WEIGHTS, [&100_000_000_000_u64.to_le_bytes()[..], &good[8..]].concat()),
        FileCorrupt,
        &["header"],
    );
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 16]].concat();
    let lies = [
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,1000]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}"#,
        r#"{"a":{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,16]}}"#,
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,16]}}"#,
        r#"{"a":{"dtype":"X9","shape":[4],"data_offsets":[0,16]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[4],"data_offsets":[4,16]}}"#,
    ];
    for lie in lies {
        refused(lie, overwrite(WEIGHTS, header(lie)), FileCorrupt, &[WEIGHTS]);
    }
}

#[test]
fn weights_of_another_model() {
    let mut shapes = tiny::shapes();
    shapes.remove("encoder.layer.0.output.dense.bias");
    let missing = tiny::weights(&shapes, 1.0);
    refused("missing", overwrite(WEIGHTS, missing), WeightsMismatch, &["encoder.layer.0.output.dense.bias is missing"]);
    let grow = |folder: &Path| edit(folder, "config.json", |config| config["intermediate_size"] = json!(32));
    refused("shape", grow, WeightsMismatch, &["encoder.layer.0.intermediate.dense.weight", "[16, 8]", "[32, 8]"]);
    let layers = |folder: &Path| edit(folder, "config.json", |config| config["num_hidden_layers"] = json!(2));
    refused("layers", layers, WeightsMismatch, &["encoder.layer.1"]);
}

#[test]
fn models_that_are_not_supported_are_named() {
    let set =
        |field: &'static str, value: Value| move |folder: &Path| edit(folder, "config.json", |c| c[field] = value);
    refused(
        "llama",
        set("architectures", json!(["LlamaForCausalLM"])),
        UnsupportedArchitecture,
        &["LlamaForCausalLM", "BertModel"],
    );
    refused(
        "foreign",
        |folder| tiny::write_json(&folder.join("config.json"), &json!({ "model_type": "t5" })),
        UnsupportedArchitecture,
        &["t5"],
    );
    refused(
        "two families",
        set("model_type", json!("roberta")),
        UnsupportedArchitecture,
        &["config.json", "architecture BertModel and model_type roberta"],
    );
    refused(
        "positions",
        set("position_embedding_type", json!("relative_key")),
        UnsupportedArchitecture,
        &["relative_key"],
    );
    refused("decoder", set("is_decoder", json!(true)), UnsupportedArchitecture, &["is_decoder"]);
    refused("activation", set("hidden_act", json!("prelu")), UnsupportedArchitecture, &["hidden_act", "prelu"]);
    refused("sizes", set("hidden_size", json!(0)), FileCorrupt, &["config.json"]);
    refused("heads", set("num_attention_heads", json!(3)), FileCorrupt, &["num_attention_heads"]);
    let cnn = json!({ "idx": 3, "name": "3", "path": "3_CNN", "type": "sentence_transformers.models.CNN" });
    refused(
        "a step",
        |folder| edit(folder, "modules.json", |m| m.as_array_mut().unwrap().push(cnn)),
        UnsupportedArchitecture,
        &["modules.json", "CNN"],
    );
    refused(
        "no pooling",
        |folder| edit(folder, "modules.json", |m| m.as_array_mut().unwrap().truncate(1)),
        UnsupportedArchitecture,
        &["Pooling"],
    );
    let mode = json!({ "pooling_mode": "attention" });
    refused(
        "pooling",
        |folder| tiny::write_json(&folder.join("1_Pooling/config.json"), &mode),
        UnsupportedArchitecture,
        &["attention"],
    );
}

#[test]
fn a_family_is_known_by_its_architecture_or_else_by_its_model_type() {
    for (missing, architecture) in [("model_type", "BertForMaskedLM"), ("architectures", "BertModel")] {
        let dir = TempDir::new().unwrap();
        tiny::write(dir.path());
        edit(dir.path(), "config.json", |config| {
            config["architectures"] = json!(["BertForMaskedLM"]);
            config.as_object_mut().unwrap().remove(missing);
        });
        assert_eq!(try_load(dir.path()).unwrap().model.about.architecture, architecture);
    }
}

#[test]
fn links_may_not_leave_the_folder_but_a_snapshot_may_lead_to_its_blobs() {
    let elsewhere = TempDir::new().unwrap();
    let target = elsewhere.path().join("weights");
    fs::write(&target, tiny::weights(&tiny::shapes(), 1.0)).unwrap();
    let link = |folder: &Path| {
        fs::remove_file(folder.join(WEIGHTS)).unwrap();
        symlink(&target, folder.join(WEIGHTS)).unwrap();
    };
    refused("link", link, FileCorrupt, &["leads out of the folder"]);

    let repository = TempDir::new().unwrap();
    let (blobs, snapshot) = (repository.path().join("blobs"), repository.path().join("snapshots/abc123"));
    fs::create_dir_all(&blobs).unwrap();
    tiny::write(&snapshot);
    fs::rename(snapshot.join(WEIGHTS), blobs.join("hash")).unwrap();
    symlink(PathBuf::from("../../blobs/hash"), snapshot.join(WEIGHTS)).unwrap();
    assert_eq!(try_load(&snapshot).unwrap().model.about.revision, "abc123");
}

#[test]
fn shards_old_names_and_a_head_do_not_matter() {
    let plain = |folder: &Path| {
        let mut loaded = try_load(folder).unwrap();
        dense(&mut loaded, &[&[2, 4, 5, 3]])
    };
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    let expected = plain(dir.path());

    // The same tensors under the names of a checkpoint with a head, and in two files.
    let bytes = fs::read(dir.path().join(WEIGHTS)).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let renamed = |name: &str| {
        format!(
            "bert.{}",
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        )
    };
    let all: Vec<_> = tensors.tensors().into_iter().map(|(name, view)| (renamed(&name), view)).collect();
    let (left, right) = all.split_at(all.len() / 2);
    let mut map = serde_json::Map::new();
    for (file, part) in [("model-00001-of-00002.safetensors", left), ("model-00002-of-00002.safetensors", right)] {
        fs::write(dir.path().join(file), safetensors::serialize(part.to_vec(), None).unwrap()).unwrap();
        map.extend(part.iter().map(|(name, _)| (name.clone(), json!(file))));
    }
    tiny::write_json(&dir.path().join("model.safetensors.index.json"), &json!({ "weight_map": map }));
    fs::remove_file(dir.path().join(WEIGHTS)).unwrap();
    edit(dir.path(), "config.json", |config| config["architectures"] = json!(["BertForMaskedLM"]));
    assert_eq!(plain(dir.path()), expected);

    edit(dir.path(), "model.safetensors.index.json", |index| index["weight_map"]["x"] = json!("../../etc/passwd"));
    assert_eq!(try_load(dir.path()).err().unwrap().reason, FileCorrupt);
}
