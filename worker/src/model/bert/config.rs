//! BERT's settings in config.json.

use serde::Deserialize;

use crate::failure::Result;
use crate::folder::Folder;

/// Architectures of this family, as config.json names them. The first stands for a file that names none.
pub(in crate::model) const ARCHITECTURES: &[&str] = &["BertModel", "BertForMaskedLM", "BertForPreTraining"];

/// Largest value of any size; it keeps products of two of them far from overflow.
const SIZE_LIMIT: usize = 1 << 20;

/// The fields that BERT has. The names are Hugging Face's.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    #[serde(default)]
    architectures: Vec<String>,
    /// Length of a token's vector.
    pub hidden_size: usize,
    /// Length of the vector between the two linear layers of a block.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads of a block; a divisor of `hidden_size`.
    pub num_attention_heads: usize,
    /// Rows of the table of words.
    pub vocab_size: usize,
    /// Rows of the table of positions.
    pub max_position_embeddings: usize,
    /// Activation of a block; gelu by default.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// What a layer norm adds to the variance; 1e-12 by default.
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    #[serde(default)]
    is_decoder: bool,
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

impl Config {
    /// Reads the file with this name, and refuses settings that the network would compute wrongly.
    pub(in crate::model) fn read(folder: &Folder, name: &str) -> Result<Self> {
        let config: Self = folder.json(name)?;
        let sizes = [
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.vocab_size,
            config.max_position_embeddings,
        ];
        if sizes.iter().any(|size| !(1..=SIZE_LIMIT).contains(size)) {
            return Err(folder.corrupt(name, format!("a size is 0 or more than {SIZE_LIMIT}")));
        }
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(folder.corrupt(name, "hidden_size is not a multiple of num_attention_heads"));
        }
        if config.position_embedding_type != "absolute" {
            let why = format!(
                "position_embedding_type {} is not supported; only absolute is",
                config.position_embedding_type
            );
            return Err(folder.unsupported(name, why));
        }
        if config.is_decoder {
            return Err(folder.unsupported(name, "is_decoder is true; only encoders are supported"));
        }
        Ok(config)
    }

    /// The architecture that the file names, or else the family's first.
    pub(in crate::model) fn architecture(&self) -> &str {
        self.architectures.first().map_or(ARCHITECTURES[0], String::as_str)
    }

    /// Row of the table of positions that belongs to a text's first token.
    pub(super) fn first_position(&self) -> usize {
        0
    }

    /// Most tokens of a text: the rows of the table of positions from the first token's on.
    pub(in crate::model) fn max_tokens(&self) -> usize {
        self.max_position_embeddings - self.first_position()
    }
}
