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
use belfry_worker::load::load;
use belfry_worker::metrics::Metrics;
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
