//! DistilBERT: BERT without types, under names of its own. The table of positions is in the weights even if it is the
//! sinusoidal one.

use serde::Deserialize;

use super::{NAME, Settings, checks};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied};
use crate::model::heads::{SequenceHead, Summary, VocabularyHead};
use crate::model::layers::{Activation, Mlp};
use crate::model::network::embeddings::{Counting, Embeddings, Finish, Positions};
use crate::model::network::post_norm::{Block, PostNorm};

/// The reference has no field for it.
const EPS: f64 = 1e-12;

/// transformers knows each of the first three by a second name, which goes first.
#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    dim: usize,
    hidden_size: Option<usize>,
    n_heads: usize,
    num_attention_heads: Option<usize>,
    n_layers: usize,
    num_hidden_layers: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: usize,
    hidden_dim: usize,
    activation: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            dim: 768,
            hidden_size: None,
            n_heads: 12,
            num_attention_heads: None,
            n_layers: 6,
            num_hidden_layers: None,
            vocab_size: 30522,
            max_position_embeddings: 512,
            hidden_dim: 4 * 768,
            activation: "gelu".to_owned(),
        }
    }
}

#[derive(Debug)]
struct DistilBert {
    vocab_size: usize,
    hidden: usize,
    layers: usize,
    heads: Heads,
    inner: usize,
    activation: Activation,
    positions: usize,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::absolute_positions(folder)?;
    let hidden = fields.hidden_size.unwrap_or(fields.dim);
    let heads = fields.num_attention_heads.unwrap_or(fields.n_heads);
    let layers = fields.num_hidden_layers.unwrap_or(fields.n_layers);
    checks::sizes(
        folder,
        &[
            ("dim", hidden),
            ("n_layers", layers),
            ("vocab_size", fields.vocab_size),
            ("max_position_embeddings", fields.max_position_embeddings),
            ("hidden_dim", fields.hidden_dim),
        ],
    )?;
    Ok(Box::new(DistilBert {
        vocab_size: fields.vocab_size,
        hidden,
        layers,
        heads: Heads::equal(heads, checks::head_size(folder, hidden, heads)?),
        inner: fields.hidden_dim,
        activation: checks::activation(folder, "activation", &fields.activation)?,
        positions: fields.max_position_embeddings,
    }))
}

impl Settings for DistilBert {
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
        let table = at.tensor("position_embeddings.weight", &[self.positions, self.hidden])?;
        let embeddings = Embeddings {
            words: at.tensor("word_embeddings.weight", &[self.vocab_size, self.hidden])?,
            positions: Some(Positions { table, counting: Counting::All }),
            types: None,
            finish: Finish::Norm(at.layer_norm("LayerNorm", self.hidden, EPS, Bias::Yes)?),
        };
        let order = (0..blocks.len()).collect();
        Ok(Box::new(PostNorm { embeddings, blocks, order, pattern: Pattern::OPEN }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        let mut at = builder.above();
        Ok(SequenceHead {
            summary: Summary::First,
            dense: Some((at.linear("pre_classifier", (self.hidden, self.hidden), Bias::Yes)?, Activation::Relu)),
            norm: None,
            out: at.linear("classifier", (labels, self.hidden), Bias::Yes)?,
            is_difference: false,
        })
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        let dense = at.linear("vocab_transform", (self.hidden, self.hidden), Bias::Yes)?;
        let norm = at.layer_norm("vocab_layer_norm", self.hidden, EPS, Bias::Yes)?;
        let decoder = at.decoder("vocab_projector", words, Some("vocab_projector.bias"))?;
        Ok(VocabularyHead { transform: Some((dense, self.activation, norm)), decoder })
    }
}

impl DistilBert {
    fn block(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, inner) = (self.hidden, self.inner);
        let mut at = builder.at(&format!("transformer.layer.{index}"));
        let parts = [("q_lin", hidden), ("k_lin", hidden), ("v_lin", hidden)];
        Ok(Block {
            attention: SelfAttention {
                qkv: at.at("attention").joined(&parts, hidden, Bias::Yes)?,
                out: at.linear("attention.out_lin", (hidden, hidden), Bias::Yes)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            attention_norm: at.layer_norm("sa_layer_norm", hidden, EPS, Bias::Yes)?,
            second_norm: None,
            mlp: Mlp::Plain {
                up: at.linear("ffn.lin1", (inner, hidden), Bias::Yes)?,
                activation: self.activation,
                down: at.linear("ffn.lin2", (hidden, inner), Bias::Yes)?,
            },
            norm: at.layer_norm("output_layer_norm", hidden, EPS, Bias::Yes)?,
        })
    }
}
