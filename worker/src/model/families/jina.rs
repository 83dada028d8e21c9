//! `JinaBERT` (jina-embeddings-v2): BERT with ALiBi in place of positions, and with gated layers. Its code is not part
//! of transformers; config.json names it by its architecture, with `model_type` bert.

use serde::Deserialize;

use super::{NAME, Settings, checks, heads};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{self, Heads, Pattern, QueryKeyNorm, Reach, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, VocabularyHead};
use crate::model::layers::{Activation, Mlp};
use crate::model::network::embeddings::{Embeddings, Finish};
use crate::model::network::post_norm::{Block, PostNorm};

#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    position_embedding_type: String,
    feed_forward_type: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            position_embedding_type: "absolute".to_owned(),
            feed_forward_type: "original".to_owned(),
        }
    }
}

/// The layers between the two norms of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedForward {
    Plain(Activation),
    Gated(Activation),
}

#[derive(Debug)]
struct JinaBert {
    vocab_size: usize,
    hidden: usize,
    layers: usize,
    heads: Heads,
    inner: usize,
    feed_forward: FeedForward,
    /// Of heads.
    activation: Activation,
    positions: usize,
    types: usize,
    eps: f64,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::whole_texts(folder)?;
    if fields.position_embedding_type != "alibi" {
        let why = format!("position_embedding_type {} is not supported; only alibi is", fields.position_embedding_type);
        return Err(folder.unsupported(NAME, why));
    }
    let activation = checks::activation(folder, "hidden_act", &fields.hidden_act)?;
    let feed_forward = match fields.feed_forward_type.as_str() {
        "original" => FeedForward::Plain(activation),
        "geglu" => FeedForward::Gated(Activation::Gelu),
        "reglu" => FeedForward::Gated(Activation::Relu),
        other => {
            let why = format!("feed_forward_type {other} is not supported; supported are original, geglu and reglu");
            return Err(folder.unsupported(NAME, why));
        }
    };
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("hidden_size", fields.hidden_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("intermediate_size", fields.intermediate_size),
            ("max_position_embeddings", fields.max_position_embeddings),
            ("type_vocab_size", fields.type_vocab_size),
        ],
    )?;
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    Ok(Box::new(JinaBert {
        vocab_size: fields.vocab_size,
        hidden,
        layers: fields.num_hidden_layers,
        heads: Heads::equal(heads, checks::head_size(folder, hidden, heads)?),
        inner: fields.intermediate_size,
        feed_forward,
        activation,
        positions: fields.max_position_embeddings,
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
    }))
}

impl Settings for JinaBert {
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
        let blocks = (0..self.layers).map(|index| self.block(builder, index)).collect::<Result<Vec<_>>>()?;
        let mut at = builder.at("embeddings");
        let embeddings = Embeddings {
            words: at.tensor("word_embeddings.weight", &[self.vocab_size, self.hidden])?,
            positions: None,
            types: Some(at.tensor("token_type_embeddings.weight", &[self.types, self.hidden])?),
            finish: Finish::Norm(at.layer_norm("LayerNorm", self.hidden, self.eps, Bias::Yes)?),
        };
        let bias = fits(attention::Bias::alibi(self.heads.queries as usize, embeddings.words.device()))?;
        let pattern = Pattern { reach: Reach::ALL, bias: Some(bias), rotary: None };
        let order = (0..blocks.len()).collect();
        Ok(Box::new(PostNorm { embeddings, blocks, order, pattern }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        heads::pooler(builder, "pooler.dense", self.hidden, labels)
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut above = builder.above();
        let mut at = above.at("cls.predictions");
        let dense = at.linear("transform.dense", (self.hidden, self.hidden), Bias::Yes)?;
        let norm = at.layer_norm("transform.LayerNorm", self.hidden, self.eps, Bias::Yes)?;
        let decoder = at.decoder("decoder", words, Some("bias"))?;
        Ok(VocabularyHead { transform: Some((dense, self.activation, norm)), decoder })
    }
}

impl JinaBert {
    /// A block in either of two forms: that of the first models, and that of models whose queries and keys are normed
    /// (`jina-bert-v2-qk-post-norm`), which has a norm more and other names.
    fn block(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, eps) = (self.hidden, self.eps);
        let mut at = builder.at(&format!("encoder.layer.{index}"));
        let normed = at.has("attention.self.layer_norm_q.weight");
        let parts = [("query", hidden), ("key", hidden), ("value", hidden)];
        let qkv = at.at("attention.self").joined(&parts, hidden, Bias::Yes)?;
        let out = at.linear("attention.output.dense", (hidden, hidden), Bias::Yes)?;
        let mut norm = |name: &str| at.layer_norm(name, hidden, eps, Bias::Yes);
        let attention_norm = norm("attention.output.LayerNorm")?;
        let (norms, second_norm, last) = if normed {
            let of_all =
                QueryKeyNorm::OfAll(norm("attention.self.layer_norm_q")?, norm("attention.self.layer_norm_k")?);
            (Some(of_all), Some(norm("layer_norm_1")?), norm("layer_norm_2")?)
        } else {
            let gated = matches!(self.feed_forward, FeedForward::Gated(_));
            (None, None, norm(if gated { "mlp.layernorm" } else { "output.LayerNorm" })?)
        };
        let mlp = if normed { self.normed_mlp(&mut at)? } else { self.mlp(&mut at)? };
        let attention = SelfAttention { qkv, out, heads: self.heads, norms, scale: None };
        Ok(Block { attention, attention_norm, second_norm, mlp, norm: last })
    }

    /// The layers of the first models.
    fn mlp(&self, at: &mut Builder<'_>) -> Result<Mlp> {
        let (hidden, inner) = (self.hidden, self.inner);
        Ok(match self.feed_forward {
            FeedForward::Plain(activation) => Mlp::Plain {
                up: at.linear("intermediate.dense", (inner, hidden), Bias::Yes)?,
                activation,
                down: at.linear("output.dense", (hidden, inner), Bias::Yes)?,
            },
            FeedForward::Gated(activation) => Mlp::Gated {
                gate_up: at.linear("mlp.gated_layers", (2 * inner, hidden), Bias::No)?,
                activation,
                down: at.linear("mlp.wo", (hidden, inner), Bias::Yes)?,
            },
        })
    }

    /// The layers of models whose queries and keys are normed; here the gate is the second half.
    fn normed_mlp(&self, at: &mut Builder<'_>) -> Result<Mlp> {
        let (hidden, inner) = (self.hidden, self.inner);
        Ok(match self.feed_forward {
            FeedForward::Plain(activation) => Mlp::Plain {
                up: at.linear("mlp.up_layer", (inner, hidden), Bias::No)?,
                activation,
                down: at.linear("mlp.down_layer", (hidden, inner), Bias::Yes)?,
            },
            FeedForward::Gated(activation) => Mlp::Gated {
                gate_up: at.up_gate("mlp.up_gated_layer", (2 * inner, hidden), Bias::No)?,
                activation,
                down: at.linear("mlp.down_layer", (hidden, inner), Bias::Yes)?,
            },
        })
    }
}
