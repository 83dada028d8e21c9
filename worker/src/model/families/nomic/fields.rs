//! What config.json says: transformers' fields, and the authors' with GPT-2's names.

use serde::Deserialize;

use super::super::{NAME, checks};
use crate::failure::Result;
use crate::folder::Folder;

/// Fields that both configurations have, under two names. The authors' names count if the file has `n_embd`; newer files
/// have both, and must say the same.
#[derive(Deserialize)]
pub(super) struct Names {
    pub(super) n_embd: Option<usize>,
    hidden_size: Option<usize>,
    n_layer: Option<usize>,
    num_hidden_layers: Option<usize>,
    n_head: Option<usize>,
    num_attention_heads: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    layer_norm_eps: Option<f64>,
    rotary_emb_base: Option<f64>,
    rope_parameters: Option<Theta>,
}

#[derive(Deserialize)]
struct Theta {
    rope_theta: Option<f64>,
}

impl Names {
    /// Refuses a file whose two names for one setting differ: its two readers would compute different vectors.
    pub(super) fn agree(&self, folder: &Folder) -> Result<()> {
        let size = |value: Option<usize>| value.map(|value| value as f64);
        let theta = self.rope_parameters.as_ref().and_then(|given| given.rope_theta);
        let pairs = [
            ("n_embd", size(self.n_embd), "hidden_size", size(self.hidden_size)),
            ("n_layer", size(self.n_layer), "num_hidden_layers", size(self.num_hidden_layers)),
            ("n_head", size(self.n_head), "num_attention_heads", size(self.num_attention_heads)),
            ("layer_norm_epsilon", self.layer_norm_epsilon, "layer_norm_eps", self.layer_norm_eps),
            ("rotary_emb_base", self.rotary_emb_base, "rope_theta", theta),
        ];
        for (old, first, new, second) in pairs {
            if let (Some(first), Some(second)) = (first, second)
                && (first - second).abs() > f64::EPSILON * first.abs()
            {
                return Err(folder.corrupt(NAME, format!("{old} is {first} and {new} is {second}")));
            }
        }
        Ok(())
    }
}

/// `NomicBertConfig` of transformers.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) intermediate_size: usize,
    pub(super) hidden_act: String,
    pub(super) max_position_embeddings: usize,
    pub(super) type_vocab_size: usize,
    pub(super) layer_norm_eps: f64,
    pub(super) head_dim: Option<usize>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: 30528,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "silu".to_owned(),
            max_position_embeddings: 2048,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            head_dim: None,
        }
    }
}

/// `NomicBertConfig` of the authors' code, with defaults of its own and of `GPT2Config`.
#[derive(Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "the file has one flag per setting")]
pub(super) struct OldFields {
    pub(super) vocab_size: usize,
    pub(super) n_embd: usize,
    pub(super) n_layer: usize,
    pub(super) n_head: usize,
    pub(super) n_inner: Option<usize>,
    pub(super) n_positions: usize,
    pub(super) activation_function: String,
    pub(super) layer_norm_epsilon: f64,
    pub(super) type_vocab_size: usize,
    pub(super) pad_vocab_size_multiple: usize,
    pub(super) prenorm: bool,
    pub(super) parallel_block: bool,
    pub(super) use_rms_norm: bool,
    pub(super) causal: bool,
    pub(super) qkv_proj_bias: bool,
    pub(super) mlp_fc1_bias: bool,
    pub(super) mlp_fc2_bias: bool,
    pub(super) rotary_emb_fraction: f64,
    pub(super) rotary_emb_base: f64,
    pub(super) rotary_emb_scale_base: Option<f64>,
    pub(super) rotary_emb_interleaved: bool,
    /// Missing is 1; null is no scaling.
    #[serde(deserialize_with = "checks::nullable")]
    pub(super) rotary_scaling_factor: Option<Option<f64>>,
    pub(super) max_trained_positions: usize,
    pub(super) rotary_head_dim: bool,
    pub(super) num_heads_kv: Option<usize>,
    pub(super) moe_every_n_layers: usize,
    pub(super) num_experts: usize,
}

impl Default for OldFields {
    fn default() -> Self {
        Self {
            vocab_size: 50257,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            n_positions: 1024,
            activation_function: "gelu_new".to_owned(),
            layer_norm_epsilon: 1e-5,
            type_vocab_size: 2,
            pad_vocab_size_multiple: 1,
            prenorm: false,
            parallel_block: false,
            use_rms_norm: false,
            causal: false,
            qkv_proj_bias: true,
            mlp_fc1_bias: true,
            mlp_fc2_bias: true,
            rotary_emb_fraction: 0.0,
            rotary_emb_base: 1000.0,
            rotary_emb_scale_base: None,
            rotary_emb_interleaved: false,
            rotary_scaling_factor: None,
            max_trained_positions: 2048,
            rotary_head_dim: false,
            num_heads_kv: None,
            moe_every_n_layers: 0,
            num_experts: 0,
        }
    }
}
