//! Folders of `parity/make.py`: their files, and weights that follow from the tensors' names.
#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file, and uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test that can't go on must stop"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

/// A tensor whose values are `mean + scale * u`, with `u` in [-1, 1) by splitmix64 from the hash of `seed`.
#[derive(Deserialize)]
pub struct Tensor {
    shape: Vec<usize>,
    dtype: String,
    mean: f32,
    scale: f32,
    seed: String,
    /// Whole numbers are below this.
    #[serde(default)]
    below: Option<u64>,
}

impl Tensor {
    fn bytes(&self) -> Vec<u8> {
        let count: usize = self.shape.iter().product();
        let start = self
            .seed
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        let value = |index: usize| {
            let z = start.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0;
            self.mean + self.scale * unit
        };
        match self.dtype.as_str() {
            "F32" => (0..count).flat_map(|index| value(index).to_le_bytes()).collect(),
            "F16" => (0..count).flat_map(|index| half::f16::from_f32(value(index)).to_le_bytes()).collect(),
            "BF16" => (0..count).flat_map(|index| half::bf16::from_f32(value(index)).to_le_bytes()).collect(),
            "I32" => self.places(count).flat_map(|place| (place as u32).to_le_bytes()).collect(),
            // Rows of tokens, and buffers such as position_ids.
            _ => self.places(count).flat_map(u64::to_le_bytes).collect(),
        }
    }
}

impl Tensor {
    fn places(&self, count: usize) -> impl Iterator<Item = u64> {
        (0..count as u64).map(|place| self.below.map_or(place, |below| place * 7 % below))
    }
}

/// Lays out a folder.
pub fn write(folder: &Path, files: &BTreeMap<String, Value>, tensors: &BTreeMap<String, BTreeMap<String, Tensor>>) {
    for (name, value) in files {
        // A text is a file that is no JSON.
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        place(folder, name, text.as_bytes());
    }
    for (name, tensors) in tensors {
        place(folder, name, &safetensors(tensors));
    }
}

fn place(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn safetensors(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, tensor) in tensors {
        let (from, bytes) = (data.len(), tensor.bytes());
        data.extend(bytes);
        let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [from, data.len()] });
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}
