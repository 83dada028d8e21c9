//! config.json: what the model is.

use serde::Deserialize;

use super::SUPPORTED;
use crate::failure::Result;
use crate::folder::Folder;

/// The fields that the supported families have in common. The names are Hugging Face's.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    #[serde(default)]
    pub architectures: Vec<String>,
    #[serde(default)]
    pub model_type: String,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    #[serde(default = "gelu")]
    pub hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    #[serde(default)]
    pub is_decoder: bool,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn layer_norm_eps() -> f64 {
    1e-12
}

/// Only what is needed to tell which family a model is of.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    model_type: String,
}

/// Largest value of any size in a config; it keeps products of two of them far from overflow.
const SIZE_LIMIT: usize = 1 << 20;

impl Config {
    pub fn read(folder: &Folder) -> Result<Self> {
        const NAME: &str = "config.json";
        // Another family has other fields, and "missing field `hidden_size`" would say nothing about the cause.
        let kind: Kind = folder.json(NAME)?;
        let name = kind.architectures.first().map_or(kind.model_type.as_str(), String::as_str);
        let nameless = kind.architectures.is_empty() && name == "bert";
        if !SUPPORTED.contains(&name) && !nameless {
            let supported = SUPPORTED.join(", ");
            return Err(
                folder.unsupported(NAME, format!("architecture {name} is not supported; supported are {supported}"))
            );
        }
        let config: Self = folder.json(NAME)?;
        let sizes = [
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.vocab_size,
            config.max_position_embeddings,
        ];
        if sizes.iter().any(|size| !(1..=SIZE_LIMIT).contains(size)) {
            return Err(folder.corrupt(NAME, format!("a size is 0 or more than {SIZE_LIMIT}")));
        }
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(folder.corrupt(NAME, "hidden_size is no multiple of num_attention_heads"));
        }
        if config.position_embedding_type != "absolute" {
            let why = format!(
                "position_embedding_type {} is not supported; only absolute is",
                config.position_embedding_type
            );
            return Err(folder.unsupported(NAME, why));
        }
        if config.is_decoder {
            return Err(folder.unsupported(NAME, "is_decoder is true; only encoders are supported"));
        }
        Ok(config)
    }

    /// The name by which the family is known.
    pub fn architecture(&self) -> &str {
        self.architectures.first().map_or("BertModel", String::as_str)
    }
}
