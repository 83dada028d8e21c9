//! The fields of config.json about rotary positions, as transformers' `RotaryEmbeddingConfigMixin` combines them.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::NAME;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::rotary::{Around, Rope};

/// The fields, of all versions of transformers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    /// The older name; it goes first.
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    /// ModernBERT's.
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    /// Gemma 3's.
    rope_local_base_freq: Option<f64>,
}

/// The kinds of layers that may have a rotation of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// Sees the whole text.
    Full,
    /// Sees tokens near it.
    Sliding,
}

impl Layer {
    const ALL: [Self; 2] = [Self::Full, Self::Sliding];

    /// The name in `layer_types`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full_attention",
            Self::Sliding => "sliding_attention",
        }
    }
}

/// The kinds of all layers: those of `layer_types`, or what `other` says of a layer's index.
pub(super) fn layers(
    folder: &Folder,
    count: usize,
    given: Option<&[String]>,
    other: impl Fn(usize) -> Layer,
) -> Result<Vec<Layer>> {
    let Some(given) = given else { return Ok((0..count).map(other).collect()) };
    if given.len() != count {
        let why = format!("layer_types has {} entries and num_hidden_layers is {count}", given.len());
        return Err(folder.corrupt(NAME, why));
    }
    let known = |name: &String| {
        // "attention" is an older name of full attention.
        let name = if name == "attention" { Layer::Full.name() } else { name };
        Layer::ALL.into_iter().find(|layer| layer.name() == name).ok_or_else(|| {
            let why =
                format!("layer_types: {name} is not supported; supported are full_attention and sliding_attention");
            folder.unsupported(NAME, why)
        })
    };
    given.iter().map(known).collect()
}

fn unsupported(folder: &Folder, field: &str) -> impl Fn(String) -> belfry_crds::contract::load_failure::LoadFailure {
    let path = format!("{field}: ");
    move |why| folder.unsupported(NAME, format!("{path}{why}"))
}

fn fields(folder: &Folder) -> Result<Fields> {
    let fields: Fields = folder.json(NAME)?;
    match fields.partial_rotary_factor {
        Some(part) if (part - 1.0).abs() > f64::EPSILON => {
            Err(folder.unsupported(NAME, "partial_rotary_factor other than 1 is not supported"))
        }
        _ => Ok(fields),
    }
}

/// The rotation of a family in which all layers have the same. `around.theta` is the family's default.
pub(super) fn one(folder: &Folder, around: Around) -> Result<Rope> {
    let fields = fields(folder)?;
    let around = Around {
        theta: fields.rope_theta.unwrap_or(around.theta),
        original: fields.original_max_position_embeddings,
        ..around
    };
    let scaling = fields.rope_scaling.filter(|map| !map.is_empty());
    let map = scaling.or(fields.rope_parameters).unwrap_or_default();
    Rope::read(&map, around).map_err(unsupported(folder, "rope_parameters or rope_scaling"))
}

/// How a family with two rotations combines its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Two {
    /// `rope_scaling` is of both.
    ModernBert,
    /// `rope_scaling` is of full attention.
    Gemma3,
}

/// The rotations of full and of sliding attention. `around.theta` is unused: the family's defaults are known.
pub(super) fn two(folder: &Folder, around: Around, family: Two) -> Result<[Rope; 2]> {
    let fields = fields(folder)?;
    let nested = fields.rope_parameters.unwrap_or_default();
    if let Some(key) = nested.keys().find(|key| !Layer::ALL.iter().any(|layer| layer.name() == *key)) {
        let why = format!("rope_parameters: {key} belongs to neither full_attention nor sliding_attention");
        return Err(folder.unsupported(NAME, why));
    }
    let (global, local) = match family {
        Two::ModernBert => (fields.global_rope_theta.unwrap_or(160_000.0), fields.local_rope_theta),
        Two::Gemma3 => (fields.rope_theta.unwrap_or(1_000_000.0), fields.rope_local_base_freq),
    };
    let rope = |layer: Layer, theta: f64| {
        let mut map = match nested.get(layer.name()) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => return Err(folder.corrupt(NAME, format!("rope_parameters: {} is no object", layer.name()))),
        };
        if layer == Layer::Full || family == Two::ModernBert {
            map.extend(fields.rope_scaling.clone().unwrap_or_default());
        }
        let around = Around { theta, ..around };
        Rope::read(&map, around).map_err(unsupported(folder, "rope_parameters or rope_scaling"))
    };
    Ok([rope(Layer::Full, global)?, rope(Layer::Sliding, local.unwrap_or(10_000.0))?])
}
