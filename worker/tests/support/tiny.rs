//! A real model folder that takes no time to load: one BERT layer with eight hidden dimensions.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

const HIDDEN: usize = 8;
const INNER: usize = 16;

pub fn config() -> Value {
    json!({
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 14, "max_position_embeddings": 16,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    })
}

pub fn modules() -> Value {
    json!([
        { "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer" },
        { "idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
        { "idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize" },
    ])
}

/// Names and shapes of all tensors.
pub fn shapes() -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::from([
        ("embeddings.word_embeddings.weight".to_owned(), vec![14, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![16, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN]),
    ]);
    let mut layer = |name: &str, out: usize, input: Option<usize>| {
        shapes.insert(format!("{name}.weight"), std::iter::once(out).chain(input).collect());
        shapes.insert(format!("{name}.bias"), vec![out]);
    };
    layer("embeddings.LayerNorm", HIDDEN, None);
    for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
        layer(&format!("encoder.layer.0.{name}"), HIDDEN, Some(HIDDEN));
    }
    layer("encoder.layer.0.attention.output.LayerNorm", HIDDEN, None);
    layer("encoder.layer.0.intermediate.dense", INNER, Some(HIDDEN));
    layer("encoder.layer.0.output.dense", HIDDEN, Some(INNER));
    layer("encoder.layer.0.output.LayerNorm", HIDDEN, None);
    shapes
}

/// A safetensors file with pseudo-random values, scaled.
pub fn weights(shapes: &BTreeMap<String, Vec<usize>>, scale: f32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .iter()
        .map(|(name, shape)| {
            let values = 0..shape.iter().product();
            (name.clone(), shape.clone(), values.flat_map(|_| (random() * scale).to_le_bytes()).collect())
        })
        .collect();
    let views = data
        .iter()
        .map(|(name, shape, bytes)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

pub fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

/// Writes a whole model.
pub fn write(folder: &Path) {
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    write_json(&folder.join("config.json"), &config());
    write_json(&folder.join("modules.json"), &modules());
    write_json(&folder.join("1_Pooling/config.json"), &json!({ "pooling_mode_mean_tokens": true }));
    fs::write(folder.join("tokenizer.json"), include_bytes!("tokenizer.json")).unwrap();
    fs::write(folder.join("model.safetensors"), weights(&shapes(), 1.0)).unwrap();
}
