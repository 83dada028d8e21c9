//! Checks of config.json that all families share.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::NAME;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::layers::Activation;

/// Largest value of any size; it keeps products of two of them far from overflow.
const SIZE_LIMIT: usize = 1 << 20;

/// Fields that turn an encoder into something else, whatever its family.
#[derive(Deserialize)]
struct Foreign {
    #[serde(default)]
    is_decoder: bool,
    #[serde(default)]
    is_encoder_decoder: bool,
    #[serde(default)]
    add_cross_attention: bool,
    quantization_config: Option<Value>,
    pruned_heads: Option<Value>,
    per_layer_config: Option<Value>,
}

/// Refuses settings that no network of this worker computes.
pub(super) fn encoder_only(folder: &Folder) -> Result<()> {
    let foreign: Foreign = folder.json(NAME)?;
    let set = |value: &Option<Value>| {
        value.as_ref().is_some_and(|value| !matches!(value, Value::Object(map) if map.is_empty()))
    };
    let found = [
        (foreign.is_decoder, "is_decoder"),
        (foreign.is_encoder_decoder, "is_encoder_decoder"),
        (foreign.add_cross_attention, "add_cross_attention"),
        (set(&foreign.quantization_config), "quantization_config"),
        (set(&foreign.pruned_heads), "pruned_heads"),
        (set(&foreign.per_layer_config), "per_layer_config"),
    ];
    match found.iter().find(|(found, _)| *found) {
        Some((_, field)) => Err(folder.unsupported(NAME, format!("{field} is set; only plain encoders are supported"))),
        None => Ok(()),
    }
}

/// Fields of families whose tokens see the whole text.
#[derive(Deserialize)]
struct Attention {
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_causal: bool,
}

/// Refuses attention to a part of a text.
pub(super) fn whole_texts(folder: &Folder) -> Result<()> {
    let attention: Attention = folder.json(NAME)?;
    if attention.is_causal {
        return Err(folder.unsupported(NAME, "is_causal is set; tokens of this family see the whole text"));
    }
    Ok(())
}

/// Refuses attention to a part of a text, and other positions than absolute ones.
pub(super) fn absolute_positions(folder: &Folder) -> Result<()> {
    whole_texts(folder)?;
    let attention: Attention = folder.json(NAME)?;
    match attention.position_embedding_type.as_deref() {
        None | Some("absolute") => Ok(()),
        Some(other) => {
            let why = format!("position_embedding_type {other} is not supported; only absolute is");
            Err(folder.unsupported(NAME, why))
        }
    }
}

/// Refuses sizes that are 0 or absurd.
pub(super) fn sizes(folder: &Folder, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| !(1..=SIZE_LIMIT).contains(size)) {
        Some((field, size)) => Err(folder.corrupt(NAME, format!("{field} is {size}; it must be 1 to {SIZE_LIMIT}"))),
        None => Ok(()),
    }
}

/// The size of one head.
pub(super) fn head_size(folder: &Folder, hidden: usize, heads: usize) -> Result<usize> {
    if heads > 0 && hidden.is_multiple_of(heads) {
        return Ok(hidden / heads);
    }
    Err(folder.corrupt(NAME, format!("hidden_size {hidden} is not a multiple of num_attention_heads {heads}")))
}

/// The size of one head, which a field may repeat. Another value there would move the rotation alone.
pub(super) fn same_head(folder: &Folder, size: usize, given: Option<usize>) -> Result<usize> {
    match given {
        Some(other) if other != size => {
            let why = format!("head_dim {other} is not supported; only hidden_size / num_attention_heads is");
            Err(folder.unsupported(NAME, why))
        }
        _ => Ok(size),
    }
}

/// What a norm adds to the variance.
pub(super) fn eps(folder: &Folder, field: &str, eps: f64) -> Result<f64> {
    if (0.0..1.0).contains(&eps) { Ok(eps) } else { Err(folder.corrupt(NAME, format!("{field} is {eps}"))) }
}

/// The activation that a field names.
pub(super) fn activation(folder: &Folder, field: &str, name: &str) -> Result<Activation> {
    Activation::named(name).map_err(|why| folder.unsupported(NAME, format!("{field}: {why}")))
}

/// Reads a field that may be null: the outer value is missing if the field is.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// The size of a head whose dimensions are turned in pairs.
pub(super) fn rotated(folder: &Folder, size: usize) -> Result<usize> {
    if size > 0 && size.is_multiple_of(2) {
        return Ok(size);
    }
    Err(folder.corrupt(NAME, format!("a head has {size} dimensions; they are turned in pairs")))
}
