//! GTE: rotary positions and gated layers in BERT's order. One network under two sets of names: transformers' own
//! (`gte`), and that of the code which its authors published (`new`). transformers reads weights of either.

use serde::Deserialize;

use super::{NAME, Settings, checks, heads, rope};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, Reach, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, VocabularyHead};
use crate::model::layers::{Activation, Mlp};
use crate::model::network::embeddings::{Embeddings, Finish};
use crate::model::network::post_norm::{Block, PostNorm};
use crate::model::rotary::{Around, Pairs, Rope, Rotary};

#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    vocab_size: Option<usize>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: Option<usize>,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    head_dim: Option<usize>,
    position_embedding_type: String,
    layer_norm_type: String,
    logn_attention_scale: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: None,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            max_position_embeddings: None,
            type_vocab_size: 1,
            layer_norm_eps: 1e-12,
            head_dim: None,
            position_embedding_type: "rope".to_owned(),
            layer_norm_type: "layer_norm".to_owned(),
            logn_attention_scale: false,
        }
    }
}

/// Defaults that differ between the two configuration classes.
pub(super) struct Kind {
    vocab_size: usize,
    positions: usize,
    theta: f64,
    /// Whether the head that predicts words has the activation of the blocks.
    activated: bool,
}

/// `GteConfig` of transformers.
pub(super) const GTE: Kind = Kind { vocab_size: 250_048, positions: 8192, theta: 160_000.0, activated: false };

/// `NewConfig` of the authors' own code.
pub(super) const NEW: Kind = Kind { vocab_size: 30528, positions: 2048, theta: 10_000.0, activated: true };

#[derive(Debug)]
struct Gte {
    vocab_size: usize,
    hidden: usize,
    layers: usize,
    heads: Heads,
    inner: usize,
    activation: Activation,
    positions: usize,
    types: usize,
    eps: f64,
    rope: Rope,
    /// Of the head that predicts words.
    head: Activation,
}

pub(super) fn read(folder: &Folder, kind: &Kind) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::whole_texts(folder)?;
    let only = [
        ("position_embedding_type", fields.position_embedding_type.as_str(), "rope"),
        ("layer_norm_type", fields.layer_norm_type.as_str(), "layer_norm"),
    ];
    if let Some((field, value, known)) = only.iter().find(|(_, value, known)| value != known) {
        return Err(folder.unsupported(NAME, format!("{field} {value} is not supported; only {known} is")));
    }
    if fields.logn_attention_scale {
        return Err(folder.unsupported(NAME, "logn_attention_scale is not supported; only false is"));
    }
    let vocab_size = fields.vocab_size.unwrap_or(kind.vocab_size);
    let positions = fields.max_position_embeddings.unwrap_or(kind.positions);
    checks::sizes(
        folder,
        &[
            ("vocab_size", vocab_size),
            ("hidden_size", fields.hidden_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("intermediate_size", fields.intermediate_size),
            ("max_position_embeddings", positions),
            ("type_vocab_size, plus 1,", fields.type_vocab_size.saturating_add(1)),
        ],
    )?;
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    let size = checks::rotated(folder, checks::head_size(folder, hidden, heads)?)?;
    let size = checks::same_head(folder, size, fields.head_dim)?;
    let activation = checks::activation(folder, "hidden_act", &fields.hidden_act)?;
    let around = Around { theta: kind.theta, head: size, max_positions: positions, original: None };
    Ok(Box::new(Gte {
        vocab_size,
        hidden,
        layers: fields.num_hidden_layers,
        heads: Heads::equal(heads, size),
        inner: fields.intermediate_size,
        activation,
        head: if kind.activated { activation } else { Activation::Gelu },
        positions,
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
        rope: rope::one(folder, around)?,
    }))
}

impl Settings for Gte {
    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_tokens(&self) -> usize {
        self.positions
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let native = builder.has("layers.0.self_attn.q_proj.weight");
        let block = |index| if native { self.block(builder, index) } else { self.published(builder, index) };
        let blocks = (0..self.layers).map(block).collect::<Result<Vec<_>>>()?;
        let mut at = builder.at("embeddings");
        let words = at.tensor("word_embeddings.weight", &[self.vocab_size, self.hidden])?;
        let types = match self.types {
            0 => None,
            types => Some(at.tensor("token_type_embeddings.weight", &[types, self.hidden])?),
        };
        let finish = Finish::Norm(at.layer_norm("LayerNorm", self.hidden, self.eps, Bias::Yes)?);
        let rotary = fits(Rotary::new(&self.rope, self.heads.size as usize, Pairs::Halves, words.device()))?;
        let pattern = Pattern { reach: Reach::ALL, bias: None, rotary: Some(rotary) };
        let order = (0..blocks.len()).collect();
        let embeddings = Embeddings { words, positions: None, types, finish };
        Ok(Box::new(PostNorm { embeddings, blocks, order, pattern }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        heads::pooler(builder, "pooler.dense", self.hidden, labels)
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        let norm = if at.has("lm_head.norm.weight") { "lm_head.norm" } else { "lm_head.layer_norm" };
        let dense = at.linear("lm_head.dense", (self.hidden, self.hidden), Bias::Yes)?;
        let norm = at.layer_norm(norm, self.hidden, self.eps, Bias::Yes)?;
        let decoder = at.decoder("lm_head.decoder", words, Some("lm_head.decoder.bias"))?;
        Ok(VocabularyHead { transform: Some((dense, self.head, norm)), decoder })
    }
}

impl Gte {
    /// A block under transformers' names.
    fn block(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, inner, eps) = (self.hidden, self.inner, self.eps);
        let mut at = builder.at(&format!("layers.{index}"));
        let parts = [("q_proj", hidden), ("k_proj", hidden), ("v_proj", hidden)];
        Ok(Block {
            attention: SelfAttention {
                qkv: at.at("self_attn").joined(&parts, hidden, Bias::Yes)?,
                out: at.linear("self_attn.o_proj", (hidden, hidden), Bias::Yes)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            attention_norm: at.layer_norm("post_attention_layernorm", hidden, eps, Bias::Yes)?,
            second_norm: None,
            mlp: Mlp::Gated {
                gate_up: at.at("mlp").joined(&[("gate_proj", inner), ("up_proj", inner)], hidden, Bias::No)?,
                activation: self.activation,
                down: at.linear("mlp.down_proj", (hidden, inner), Bias::Yes)?,
            },
            norm: at.layer_norm("post_mlp_layernorm", hidden, eps, Bias::Yes)?,
        })
    }

    /// A block under the authors' names, with queries, keys and values in one tensor or in three.
    fn published(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, inner, eps) = (self.hidden, self.inner, self.eps);
        let mut at = builder.at(&format!("encoder.layer.{index}"));
        let parts = [("q_proj", hidden), ("k_proj", hidden), ("v_proj", hidden)];
        let qkv = if at.has("attention.qkv_proj.weight") {
            at.linear("attention.qkv_proj", (3 * hidden, hidden), Bias::Yes)?
        } else {
            at.at("attention").joined(&parts, hidden, Bias::Yes)?
        };
        Ok(Block {
            attention: SelfAttention {
                qkv,
                out: at.linear("attention.o_proj", (hidden, hidden), Bias::Yes)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            attention_norm: at.layer_norm("attn_ln", hidden, eps, Bias::Yes)?,
            second_norm: None,
            mlp: Mlp::Gated {
                gate_up: at.up_gate("mlp.up_gate_proj", (2 * inner, hidden), Bias::No)?,
                activation: self.activation,
                down: at.linear("mlp.down_proj", (hidden, inner), Bias::Yes)?,
            },
            norm: at.layer_norm("mlp_ln", hidden, eps, Bias::Yes)?,
        })
    }
}
