//! BERT, and its kin that differ in positions and sizes alone: RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA.

use serde::Deserialize;

use super::{NAME, Settings, checks, heads};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{Heads, Pattern, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied};
use crate::model::heads::{SequenceHead, Summary, VocabularyHead};
use crate::model::layers::{Activation, Mlp};
use crate::model::network::embeddings::{Counting, Embeddings, Finish, Positions};
use crate::model::network::post_norm::{Block, PostNorm};

/// What differs between the families: defaults, and the first position.
pub(super) struct Kind {
    vocab_size: usize,
    hidden_size: usize,
    heads: usize,
    inner: usize,
    /// Size of the tables, if it may differ from that of the blocks.
    embedding: Option<usize>,
    /// Positions begin after this one, and tokens with this id stay at it; for BERT they begin at 0.
    padding: Option<usize>,
    heads_of: HeadsOf,
}

/// The names and formulas of a family's heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadsOf {
    Bert,
    Roberta,
    Electra,
}

pub(super) const BERT: Kind = Kind {
    vocab_size: 30522,
    hidden_size: 768,
    heads: 12,
    inner: 3072,
    embedding: None,
    padding: None,
    heads_of: HeadsOf::Bert,
};
pub(super) const XLM_ROBERTA: Kind = Kind { padding: Some(1), heads_of: HeadsOf::Roberta, ..BERT };
pub(super) const ROBERTA: Kind = Kind { vocab_size: 50265, ..XLM_ROBERTA };
pub(super) const ELECTRA: Kind =
    Kind { hidden_size: 256, heads: 4, inner: 1024, embedding: Some(128), heads_of: HeadsOf::Electra, ..BERT };

/// The fields; those without a value here have one of the family's.
#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    embedding_size: Option<usize>,
    num_hidden_layers: usize,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<usize>,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    #[serde(deserialize_with = "checks::nullable")]
    pad_token_id: Option<Option<usize>>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: None,
            hidden_size: None,
            embedding_size: None,
            num_hidden_layers: 12,
            num_attention_heads: None,
            intermediate_size: None,
            hidden_act: "gelu".to_owned(),
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: None,
        }
    }
}

/// The settings of a model.
#[derive(Debug)]
struct Bert {
    vocab_size: usize,
    hidden: usize,
    /// Size of the tables.
    embedding: usize,
    layers: usize,
    heads: Heads,
    inner: usize,
    activation: Activation,
    /// Rows of the table of positions.
    positions: usize,
    padding: Option<usize>,
    types: usize,
    eps: f64,
    heads_of: HeadsOf,
}

pub(super) fn read(folder: &Folder, kind: &Kind) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::absolute_positions(folder)?;
    let hidden = fields.hidden_size.unwrap_or(kind.hidden_size);
    let heads = fields.num_attention_heads.unwrap_or(kind.heads);
    let bert = Bert {
        vocab_size: fields.vocab_size.unwrap_or(kind.vocab_size),
        hidden,
        embedding: kind.embedding.map_or(hidden, |default| fields.embedding_size.unwrap_or(default)),
        layers: fields.num_hidden_layers,
        heads: Heads::equal(heads, checks::head_size(folder, hidden, heads)?),
        inner: fields.intermediate_size.unwrap_or(kind.inner),
        activation: checks::activation(folder, "hidden_act", &fields.hidden_act)?,
        positions: fields.max_position_embeddings,
        padding: match (kind.padding, fields.pad_token_id) {
            (None, _) => None,
            (default, None) => default,
            (Some(_), Some(Some(id))) => Some(id),
            (Some(_), Some(None)) => {
                let why = "pad_token_id is null, and positions of this family are counted from it";
                return Err(folder.unsupported(NAME, why));
            }
        },
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
        heads_of: kind.heads_of,
    };
    checks::sizes(
        folder,
        &[
            ("vocab_size", bert.vocab_size),
            ("hidden_size", bert.hidden),
            ("embedding_size", bert.embedding),
            ("num_hidden_layers", bert.layers),
            ("intermediate_size", bert.inner),
            ("max_position_embeddings", bert.positions),
            ("type_vocab_size", bert.types),
            ("max_position_embeddings, less those before the first token,", bert.max_tokens()),
        ],
    )?;
    Ok(Box::new(bert))
}

impl Settings for Bert {
    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.padding.map_or(0, |id| id.saturating_add(1)))
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let blocks = (0..self.layers).map(|index| self.block(builder, index)).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(PostNorm {
            embeddings: self.embeddings(builder)?,
            order: (0..blocks.len()).collect(),
            blocks,
            pattern: Pattern::OPEN,
        }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        let hidden = self.hidden;
        if self.heads_of == HeadsOf::Bert {
            return heads::pooler(builder, "pooler.dense", hidden, labels);
        }
        let activation = if self.heads_of == HeadsOf::Electra { Activation::Gelu } else { Activation::Tanh };
        let mut at = builder.above();
        Ok(SequenceHead {
            summary: Summary::First,
            dense: Some((at.linear("classifier.dense", (hidden, hidden), Bias::Yes)?, activation)),
            norm: None,
            out: at.linear("classifier.out_proj", (labels, hidden), Bias::Yes)?,
            is_difference: false,
        })
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let (hidden, size) = (self.hidden, self.embedding);
        let mut at = builder.above();
        let (dense, activation, norm) = match self.heads_of {
            HeadsOf::Bert => {
                ("cls.predictions.transform.dense", self.activation, "cls.predictions.transform.LayerNorm")
            }
            HeadsOf::Roberta => ("lm_head.dense", Activation::Gelu, "lm_head.layer_norm"),
            HeadsOf::Electra => ("generator_predictions.dense", Activation::Gelu, "generator_predictions.LayerNorm"),
        };
        let dense = at.linear(dense, (size, hidden), Bias::Yes)?;
        let norm = at.layer_norm(norm, size, self.eps, Bias::Yes)?;
        let decoder = match self.heads_of {
            HeadsOf::Bert => at.decoder("cls.predictions.decoder", words, Some("cls.predictions.bias"))?,
            HeadsOf::Roberta => at.decoder("lm_head.decoder", words, Some("lm_head.bias"))?,
            HeadsOf::Electra => at.decoder("generator_lm_head", words, Some("generator_lm_head.bias"))?,
        };
        Ok(VocabularyHead { transform: Some((dense, activation, norm)), decoder })
    }
}

impl Bert {
    fn embeddings(&self, builder: &mut Builder<'_>) -> Result<Embeddings> {
        let size = self.embedding;
        let mut at = builder.at("embeddings");
        let words = at.tensor("word_embeddings.weight", &[self.vocab_size, size])?;
        let table = at.tensor("position_embeddings.weight", &[self.positions, size])?;
        let counting = self.padding.map_or(Counting::All, |id| Counting::Past(id as i64));
        let types = Some(at.tensor("token_type_embeddings.weight", &[self.types, size])?);
        let norm = at.layer_norm("LayerNorm", size, self.eps, Bias::Yes)?;
        let finish = if size == self.hidden {
            Finish::Norm(norm)
        } else {
            Finish::NormThenProject(norm, builder.linear("embeddings_project", (self.hidden, size), Bias::Yes)?)
        };
        Ok(Embeddings { words, positions: Some(Positions { table, counting }), types, finish })
    }

    fn block(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, inner, eps) = (self.hidden, self.inner, self.eps);
        let mut at = builder.at(&format!("encoder.layer.{index}"));
        let parts = [("query", hidden), ("key", hidden), ("value", hidden)];
        Ok(Block {
            attention: SelfAttention {
                qkv: at.at("attention.self").joined(&parts, hidden, Bias::Yes)?,
                out: at.linear("attention.output.dense", (hidden, hidden), Bias::Yes)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            attention_norm: at.layer_norm("attention.output.LayerNorm", hidden, eps, Bias::Yes)?,
            second_norm: None,
            mlp: Mlp::Plain {
                up: at.linear("intermediate.dense", (inner, hidden), Bias::Yes)?,
                activation: self.activation,
                down: at.linear("output.dense", (hidden, inner), Bias::Yes)?,
            },
            norm: at.layer_norm("output.LayerNorm", hidden, eps, Bias::Yes)?,
        })
    }
}
