//! Names of tensors and settings of families: what is found under any prefix, and what refuses a model by its name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

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
use belfry_worker::folder::Folder;
use belfry_worker::load::load;
use belfry_worker::metrics::Metrics;
use belfry_worker::model::family::Family;
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

/// The vector of a text.
fn vector(folder: &Path) -> Result<Vec<f32>, LoadFailure> {
    let args = support::args(&format!("--model {} --dtype float32", folder.display()));
    let mut loaded = load(&args, &Device::choose(&args.compute).unwrap(), &Metrics::new().unwrap())?;
    let packed = Packed::new(&[&[2, 4, 5, 3]]);
    Ok(loaded.engine.pass(&packed, OutputSet::of([Output::Dense])).unwrap().dense.unwrap().remove(0))
}

/// A model with these settings in addition to the usual ones, and these tensors.
fn model(fields: &Value, shapes: &BTreeMap<String, Vec<usize>>) -> TempDir {
    let dir = TempDir::new().unwrap();
    tiny::write(dir.path());
    let mut config = tiny::config();
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    tiny::write_json(&dir.path().join("config.json"), &config);
    fs::write(dir.path().join(WEIGHTS), tiny::weights(shapes, 1.0)).unwrap();
    dir
}

/// Asserts that a model with these settings is refused, and that the message has these words.
fn refused(fields: &Value, says: &[&str]) {
    let failure = vector(model(fields, &tiny::shapes()).path()).expect_err(&fields.to_string());
    assert_eq!(failure.reason, UnsupportedArchitecture, "{fields}: {}", failure.message);
    for part in says {
        assert!(failure.message.contains(part), "{fields}: {:?} lacks {part:?}", failure.message);
    }
    assert!(!failure.message.contains('\n') && failure.message.len() < 600, "{}", failure.message);
}

#[test]
fn an_encoder_is_found_under_any_prefix() {
    let plain = model(&json!({}), &tiny::shapes());
    let expected = vector(plain.path()).unwrap();
    let bytes = fs::read(plain.path().join(WEIGHTS)).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for prefix in ["bert.", "roberta.", "model.", "auto_model.", "0.auto_model.", "module.bert.", "encoder.", "x.y.z."]
    {
        let renamed = tensors.tensors().into_iter().map(|(name, view)| (format!("{prefix}{name}"), view));
        fs::write(plain.path().join(WEIGHTS), safetensors::serialize(renamed, None).unwrap()).unwrap();
        assert_eq!(vector(plain.path()).unwrap(), expected, "{prefix}");
    }
}

#[test]
fn weights_with_two_encoders_are_refused() {
    let mut shapes = tiny::shapes();
    shapes.extend(tiny::shapes().into_iter().map(|(name, shape)| (format!("question.{name}"), shape)));
    let failure = vector(model(&json!({}), &shapes).path()).unwrap_err();
    assert_eq!(failure.reason, UnsupportedArchitecture);
    assert!(failure.message.contains("two encoders") && failure.message.contains("question."), "{}", failure.message);
}

#[test]
fn tensors_of_heads_may_be_left_and_tensors_of_a_network_may_not() {
    let with = |name: &str| {
        let mut shapes = tiny::shapes();
        shapes.insert(name.to_owned(), vec![4]);
        vector(model(&json!({}), &shapes).path())
    };
    for harmless in ["pooler.dense.weight", "cls.predictions.bias", "lm_head.bias", "classifier.weight"] {
        with(harmless).unwrap_or_else(|failure| panic!("{harmless}: {}", failure.message));
    }
    for wrong in ["encoder.layer.1.output.dense.bias", "embeddings.distance.weight", "encoder.layer.0.lora_A.weight"] {
        let failure = with(wrong).expect_err(wrong);
        assert_eq!(failure.reason, UnsupportedArchitecture, "{}", failure.message);
        assert!(failure.message.contains(wrong), "{}", failure.message);
    }
}

#[test]
fn a_model_with_one_token_type_is_served() {
    let mut shapes = tiny::shapes();
    shapes.insert("embeddings.token_type_embeddings.weight".to_owned(), vec![1, 8]);
    assert_eq!(vector(model(&json!({ "type_vocab_size": 1 }), &shapes).path()).unwrap().len(), 8);
}

#[test]
fn settings_that_a_network_would_compute_wrongly_are_refused_by_name() {
    refused(&json!({ "is_encoder_decoder": true }), &["is_encoder_decoder"]);
    refused(&json!({ "add_cross_attention": true }), &["add_cross_attention"]);
    refused(&json!({ "quantization_config": { "bits": 4 } }), &["quantization_config"]);
    refused(&json!({ "pruned_heads": { "0": [1] } }), &["pruned_heads"]);
    refused(&json!({ "is_causal": true }), &["is_causal"]);
    let of = |model_type: &str, architecture: &str, field: &str, value: Value| {
        let mut config = json!({ "model_type": model_type, "architectures": [architecture] });
        config[field] = value;
        config
    };
    refused(&of("roberta", "RobertaModel", "pad_token_id", Value::Null), &["pad_token_id"]);
    refused(
        &of("mpnet", "MPNetModel", "relative_attention_num_buckets", json!(16)),
        &["relative_attention_num_buckets"],
    );
    refused(&of("deberta-v2", "DebertaV2Model", "conv_kernel_size", json!(3)), &["conv_kernel_size"]);
    refused(&of("deberta-v2", "DebertaV2Model", "pos_att_type", json!(["p2p"])), &["pos_att_type", "p2p"]);
    refused(&of("modernbert", "ModernBertModel", "layer_types", json!(["linear_attention"])), &["linear_attention"]);
    refused(&of("modernbert", "ModernBertModel", "rope_parameters", json!({ "rope_theta": 7.0 })), &["rope_theta"]);
    refused(&of("new", "NewModel", "logn_attention_scale", json!(true)), &["logn_attention_scale"]);
    refused(&of("new", "NewModel", "layer_norm_type", json!("rms_norm")), &["layer_norm_type", "rms_norm"]);
    refused(&of("gte", "GteModel", "rope_scaling", json!({ "rope_type": "longrope" })), &["longrope", "yarn"]);
    refused(&of("gte", "GteModel", "rope_scaling", json!({ "mrope_section": [1] })), &["mrope_section"]);
    refused(&of("gte", "GteModel", "partial_rotary_factor", json!(0.5)), &["partial_rotary_factor"]);
    refused(&of("bert", "JinaBertModel", "feed_forward_type", json!("geglu")), &["position_embedding_type"]);
    refused(&of("gemma3_text", "Gemma3TextModel", "attn_logit_softcapping", json!(50.0)), &["attn_logit_softcapping"]);
    let nomic = json!({
        "model_type": "nomic_bert", "architectures": ["NomicBertModel"], "n_embd": 8, "n_head": 2,
        "activation_function": "gelu", "moe_every_n_layers": 2,
    });
    refused(&nomic, &["moe_every_n_layers"]);
}

/// Fields that change nothing that a network computes, with the families of which that is true; none stands for all.
const HARMLESS: &[(&str, &[&str])] = &[
    // Only in training.
    ("attention_dropout", &[]),
    ("attention_probs_dropout_prob", &[]),
    ("classifier_dropout", &[]),
    ("classifier_dropout_prob", &[]),
    ("cls_dropout", &[]),
    ("dropout", &[]),
    ("embedding_dropout", &[]),
    ("hidden_dropout_prob", &[]),
    ("initializer_cutoff_factor", &[]),
    ("initializer_range", &[]),
    ("mlp_dropout", &[]),
    ("pooler_dropout", &[]),
    ("qa_dropout", &[]),
    ("seq_classif_dropout", &[]),
    ("sparse_pred_ignore_index", &[]),
    ("sparse_prediction", &[]),
    // How, and not what.
    ("deterministic_flash_attn", &[]),
    ("use_cache", &[]),
    // The tokenizer's, and rows of the table of words that no text has.
    ("bos_token_id", &[]),
    ("cls_token_id", &[]),
    ("eos_token_id", &[]),
    ("sep_token_id", &[]),
    ("pad_token_id", &["distilbert", "mpnet", "albert", "modernbert", "nomic_bert", "gte", "deberta-v2"]),
    // The reference asks only whether it is there.
    ("embedding_size", &["mpnet"]),
    // The table is in the weights.
    ("sinusoidal_pos_embds", &["distilbert"]),
    // Of a convolution, which conv_kernel_size turns on and which is refused.
    ("conv_act", &["deberta-v2"]),
    ("conv_groups", &["deberta-v2"]),
    // Of multiple choice.
    ("summary_activation", &["electra"]),
    ("summary_first_dropout", &["electra"]),
    ("summary_last_dropout", &["electra"]),
    ("summary_proj_to_labels", &["electra"]),
    ("summary_type", &["electra"]),
    ("summary_use_proj", &["electra"]),
    // Of Gemma 3 with pictures.
    ("image_token_id", &["gemma3_text"]),
    ("mm_tokens_per_image", &["gemma3_text"]),
    ("text_config", &["gemma3_text"]),
    ("vision_config", &["gemma3_text"]),
];

/// `parity/fields.py` reads the fields out of transformers. A field is read if a value that makes no sense is refused.
#[test]
fn every_field_of_config_json_that_the_reference_acts_on_is_read_or_known_to_be_harmless() {
    let fields: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&fs::read("tests/reference/config_fields.json").unwrap()).unwrap();
    assert_eq!(fields.len(), 14);
    let dir = TempDir::new().unwrap();
    let read = |config: &Value| {
        tiny::write_json(&dir.path().join("config.json"), config);
        Family::read(&Folder::open(dir.path()).unwrap())
    };
    let mut wrong = Vec::new();
    for (family, fields) in &fields {
        read(&json!({ "model_type": family })).unwrap_or_else(|failure| panic!("{family}: {}", failure.message));
        for field in fields {
            let is_read = read(&json!({ "model_type": family, field: [{ "makes": "no sense" }] })).is_err();
            let harmless = HARMLESS
                .iter()
                .any(|(name, families)| name == field && (families.is_empty() || families.contains(&family.as_str())));
            if is_read == harmless {
                wrong.push(format!("{family}: {field} is {}", if is_read { "read and harmless" } else { "ignored" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Numbers that no model has, and that arithmetic could stumble over.
#[test]
fn absurd_sizes_are_refused_and_never_overflow() {
    let fields: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&fs::read("tests/reference/config_fields.json").unwrap()).unwrap();
    let dir = TempDir::new().unwrap();
    let published = ["n_embd", "n_layer", "n_head", "n_inner", "n_positions", "max_trained_positions"];
    let published = published.map(|field| ("nomic_bert".to_owned(), field.to_owned()));
    let fields =
        fields.into_iter().flat_map(|(family, fields)| fields.into_iter().map(move |field| (family.clone(), field)));
    for (family, field) in fields.chain(published) {
        for value in
            [json!(0), json!(u64::MAX), json!(i64::MAX), json!(i64::MIN), json!(1_u64 << 40), json!(-1), json!(1e300)]
        {
            let mut config = json!({ "model_type": family });
            if field.starts_with("n_") && family == "nomic_bert" {
                config["n_embd"] = json!(768);
            }
            config["relative_attention"] = json!(true);
            config["use_sliding_window"] = json!(true);
            config[&field] = value;
            tiny::write_json(&dir.path().join("config.json"), &config);
            // A failure is an answer; a panic is none.
            if let Ok(family) = Family::read(&Folder::open(dir.path()).unwrap()) {
                assert!(family.max_tokens() > 0 && family.hidden_size() > 0, "{config}");
            }
        }
    }
}
