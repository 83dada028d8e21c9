//! ALBERT: small tables, and groups of blocks that run several times.

use serde::Deserialize;

use super::{NAME, Settings, checks, heads};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied};
use crate::model::heads::{SequenceHead, VocabularyHead};
use crate::model::layers::{Activation, Mlp};
use crate::model::network::embeddings::{Counting, Embeddings, Finish, Positions};
use crate::model::network::post_norm::{Block, PostNorm};

#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    vocab_size: usize,
    embedding_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_hidden_groups: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    inner_group_num: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: 30000,
            embedding_size: 128,
            hidden_size: 4096,
            num_hidden_layers: 12,
            num_hidden_groups: 1,
            num_attention_heads: 64,
            intermediate_size: 16384,
            inner_group_num: 1,
            hidden_act: "gelu_new".to_owned(),
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
        }
    }
}

#[derive(Debug)]
struct Albert {
    vocab_size: usize,
    /// Size of the tables.
    embedding: usize,
    hidden: usize,
    layers: usize,
    groups: usize,
    /// Blocks of a group.
    blocks: usize,
    heads: Heads,
    inner: usize,
    activation: Activation,
    positions: usize,
    types: usize,
    eps: f64,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::absolute_positions(folder)?;
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("embedding_size", fields.embedding_size),
            ("hidden_size", fields.hidden_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("num_hidden_groups", fields.num_hidden_groups),
            ("intermediate_size", fields.intermediate_size),
            ("inner_group_num", fields.inner_group_num),
            (
                "num_hidden_layers times inner_group_num",
                fields.num_hidden_layers.saturating_mul(fields.inner_group_num),
            ),
            ("max_position_embeddings", fields.max_position_embeddings),
            ("type_vocab_size", fields.type_vocab_size),
        ],
    )?;
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    Ok(Box::new(Albert {
        vocab_size: fields.vocab_size,
        embedding: fields.embedding_size,
        hidden,
        layers: fields.num_hidden_layers,
        groups: fields.num_hidden_groups,
        blocks: fields.inner_group_num,
        heads: Heads::equal(heads, checks::head_size(folder, hidden, heads)?),
        inner: fields.intermediate_size,
        activation: checks::activation(folder, "hidden_act", &fields.hidden_act)?,
        positions: fields.max_position_embeddings,
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
    }))
}

impl Settings for Albert {
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
        let size = self.embedding;
        let mut at = builder.at("embeddings");
        let words = at.tensor("word_embeddings.weight", &[self.vocab_size, size])?;
        let table = at.tensor("position_embeddings.weight", &[self.positions, size])?;
        let types = Some(at.tensor("token_type_embeddings.weight", &[self.types, size])?);
        let norm = at.layer_norm("LayerNorm", size, self.eps, Bias::Yes)?;
        let project = builder.linear("encoder.embedding_hidden_mapping_in", (self.hidden, size), Bias::Yes)?;
        let embeddings = Embeddings {
            words,
            positions: Some(Positions { table, counting: Counting::All }),
            types,
            finish: Finish::NormThenProject(norm, project),
        };
        let places = (0..self.groups).flat_map(|group| (0..self.blocks).map(move |block| (group, block)));
        let blocks = places.map(|place| self.block(builder, place)).collect::<Result<_>>()?;
        Ok(Box::new(PostNorm { embeddings, blocks, order: self.order(), pattern: Pattern::OPEN }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        heads::pooler(builder, "pooler", self.hidden, labels)
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        let dense = at.linear("predictions.dense", (self.embedding, self.hidden), Bias::Yes)?;
        let norm = at.layer_norm("predictions.LayerNorm", self.embedding, self.eps, Bias::Yes)?;
        let decoder = at.decoder("predictions.decoder", words, Some("predictions.bias"))?;
        Ok(VocabularyHead { transform: Some((dense, self.activation, norm)), decoder })
    }
}

impl Albert {
    /// The blocks of each layer's group, one layer after the other. The group's number is computed in floats, as the
    /// reference does it.
    fn order(&self) -> Vec<usize> {
        let layers_of_a_group = self.layers as f64 / self.groups as f64;
        let group = |layer: usize| (layer as f64 / layers_of_a_group) as usize;
        (0..self.layers)
            .flat_map(|layer| (0..self.blocks).map(move |block| group(layer) * self.blocks + block))
            .collect()
    }

    fn block(&self, builder: &mut Builder<'_>, (group, block): (usize, usize)) -> Result<Block> {
        let (hidden, inner, eps) = (self.hidden, self.inner, self.eps);
        let mut at = builder.at(&format!("encoder.albert_layer_groups.{group}.albert_layers.{block}"));
        let parts = [("query", hidden), ("key", hidden), ("value", hidden)];
        Ok(Block {
            attention: SelfAttention {
                qkv: at.at("attention").joined(&parts, hidden, Bias::Yes)?,
                out: at.linear("attention.dense", (hidden, hidden), Bias::Yes)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            attention_norm: at.layer_norm("attention.LayerNorm", hidden, eps, Bias::Yes)?,
            second_norm: None,
            mlp: Mlp::Plain {
                up: at.linear("ffn", (inner, hidden), Bias::Yes)?,
                activation: self.activation,
                down: at.linear("ffn_output", (hidden, inner), Bias::Yes)?,
            },
            norm: at.layer_norm("full_layer_layer_norm", hidden, eps, Bias::Yes)?,
        })
    }
}
