//! DeBERTa version 2 and 3.

use serde::Deserialize;
use tch::Tensor;

use super::{NAME, Settings, checks};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, Summary, VocabularyHead};
use crate::model::layers::{Activation, Linear, Mlp, Norm, TorchResult};
use crate::model::network::deberta::{Block, Deberta as Network, Distances, Relative};
use crate::model::network::embeddings::{Counting, Embeddings, Finish, Positions};

#[derive(Deserialize)]
#[serde(default)]
struct Fields {
    vocab_size: usize,
    hidden_size: usize,
    /// Missing is that of the blocks.
    embedding_size: Option<usize>,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    attention_head_size: Option<usize>,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    relative_attention: bool,
    max_relative_positions: i64,
    position_buckets: i64,
    position_biased_input: bool,
    pos_att_type: Option<Types>,
    share_att_key: bool,
    norm_rel_ebd: String,
    conv_kernel_size: i64,
    pooler_hidden_size: Option<usize>,
    pooler_hidden_act: String,
    legacy: bool,
}

/// A list, or names with bars between them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, or an array of strings")]
enum Types {
    Text(String),
    List(Vec<String>),
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: 128_100,
            hidden_size: 1536,
            embedding_size: None,
            num_hidden_layers: 24,
            num_attention_heads: 24,
            attention_head_size: None,
            intermediate_size: 6144,
            hidden_act: "gelu".to_owned(),
            max_position_embeddings: 512,
            type_vocab_size: 0,
            layer_norm_eps: 1e-7,
            relative_attention: false,
            max_relative_positions: -1,
            position_buckets: -1,
            position_biased_input: true,
            pos_att_type: None,
            share_att_key: false,
            norm_rel_ebd: "none".to_owned(),
            conv_kernel_size: 0,
            pooler_hidden_size: None,
            pooler_hidden_act: "gelu".to_owned(),
            legacy: true,
        }
    }
}

/// How scores depend on distances.
#[derive(Debug)]
struct Attention {
    /// The content of the query counts.
    of_query: bool,
    /// The content of the key counts.
    of_key: bool,
    /// Distances are projected as tokens are.
    shared: bool,
    /// The table is normed.
    normed: bool,
    buckets: Option<usize>,
    /// The largest distance.
    farthest: usize,
}

#[derive(Debug)]
struct Deberta {
    vocab_size: usize,
    hidden: usize,
    embedding: usize,
    layers: usize,
    heads: usize,
    head: usize,
    inner: usize,
    activation: Activation,
    positions: usize,
    /// Words have positions, too.
    biased_input: bool,
    types: usize,
    eps: f64,
    relative: Option<Attention>,
    /// Parts of a score: content, and what `pos_att_type` adds.
    parts: usize,
    /// Of the head of sequence classification.
    pooler: Activation,
    pooler_size: usize,
    /// Whether the head that predicts words is that of old checkpoints.
    legacy: bool,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::absolute_positions(folder)?;
    if fields.conv_kernel_size > 0 {
        return Err(folder.unsupported(NAME, "conv_kernel_size is set; a convolution is not supported"));
    }
    let embedding = fields.embedding_size.unwrap_or(fields.hidden_size);
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("hidden_size", fields.hidden_size),
            ("embedding_size", embedding),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("intermediate_size", fields.intermediate_size),
            ("max_position_embeddings", fields.max_position_embeddings),
            ("type_vocab_size, plus 1,", fields.type_vocab_size.saturating_add(1)),
        ],
    )?;
    let head = checks::head_size(folder, fields.hidden_size, fields.num_attention_heads)?;
    if let Some(other) = fields.attention_head_size.filter(|size| *size != head) {
        let why = format!("attention_head_size {other} is not supported; only hidden_size / num_attention_heads is");
        return Err(folder.unsupported(NAME, why));
    }
    let types = types(folder, fields.pos_att_type)?;
    let [of_query, of_key] = ["c2p", "p2c"].map(|name| types.iter().any(|kind| kind == name));
    let relative = match fields.relative_attention {
        false => None,
        true => Some(Attention {
            of_query,
            of_key,
            shared: fields.share_att_key,
            normed: normed(folder, &fields.norm_rel_ebd)?,
            buckets: buckets(folder, fields.position_buckets)?,
            farthest: usize::try_from(fields.max_relative_positions)
                .ok()
                .filter(|most| *most > 0)
                .unwrap_or(fields.max_position_embeddings),
        }),
    };
    if let Some(relative) = &relative {
        let buckets = relative.buckets.unwrap_or(1);
        checks::sizes(folder, &[("position_buckets", buckets), ("max_relative_positions", relative.farthest)])?;
    }
    Ok(Box::new(Deberta {
        vocab_size: fields.vocab_size,
        hidden: fields.hidden_size,
        embedding,
        layers: fields.num_hidden_layers,
        heads: fields.num_attention_heads,
        head,
        inner: fields.intermediate_size,
        activation: checks::activation(folder, "hidden_act", &fields.hidden_act)?,
        positions: fields.max_position_embeddings,
        biased_input: fields.position_biased_input,
        types: fields.type_vocab_size,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
        relative,
        parts: 1 + usize::from(of_query) + usize::from(of_key),
        pooler: checks::activation(folder, "pooler_hidden_act", &fields.pooler_hidden_act)?,
        pooler_size: fields.pooler_hidden_size.unwrap_or(fields.hidden_size),
        legacy: fields.legacy,
    }))
}

/// The names of `pos_att_type`; a text is split and made small, a list is taken as it is.
fn types(folder: &Folder, types: Option<Types>) -> Result<Vec<String>> {
    let names = match types {
        None => Vec::new(),
        Some(Types::List(names)) => names,
        Some(Types::Text(text)) => text.to_lowercase().split('|').map(|name| name.trim().to_owned()).collect(),
    };
    match names.iter().find(|name| !["c2p", "p2c"].contains(&name.as_str())) {
        Some(other) => {
            Err(folder.unsupported(NAME, format!("pos_att_type {other} is not supported; supported are c2p and p2c")))
        }
        None => Ok(names),
    }
}

fn normed(folder: &Folder, names: &str) -> Result<bool> {
    match names.to_lowercase().trim() {
        "none" => Ok(false),
        "layer_norm" => Ok(true),
        other => {
            let why = format!("norm_rel_ebd {other} is not supported; supported are none and layer_norm");
            Err(folder.unsupported(NAME, why))
        }
    }
}

fn buckets(folder: &Folder, buckets: i64) -> Result<Option<usize>> {
    match buckets {
        ..=0 => Ok(None),
        1 => Err(folder.corrupt(NAME, "position_buckets is 1; there is one at least for each direction")),
        count => Ok(Some(count as usize)),
    }
}

impl Settings for Deberta {
    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_tokens(&self) -> usize {
        self.positions
    }

    /// The reference takes such tokens out of its embeddings and out of both sides of attention.
    fn has_unseen_tokens(&self) -> bool {
        false
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let embeddings = self.embeddings(builder)?;
        let relative = self.relative.as_ref();
        if relative.is_none() {
            // The reference has the norm of the table even if it has no table.
            let mut at = builder.at("encoder.LayerNorm");
            at.drop("weight");
            at.drop("bias");
        }
        let table = relative.map(|relative| self.table(builder, relative)).transpose()?;
        let with_table = relative.zip(table.as_ref());
        let blocks = (0..self.layers).map(|index| self.block(builder, index, with_table)).collect::<Result<_>>()?;
        let device = embeddings.words.device();
        let distances = relative
            .map(|relative| fits(Distances::new((self.positions, relative.farthest), relative.buckets, device)));
        Ok(Box::new(Network {
            embeddings,
            blocks,
            distances: distances.transpose()?,
            heads: self.heads as i64,
            scale: ((self.head * self.parts) as f64).sqrt().recip(),
        }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        let mut at = builder.above();
        if self.pooler_size != self.hidden {
            return Err(at.unsupported("pooler_hidden_size other than hidden_size is not supported"));
        }
        Ok(SequenceHead {
            summary: Summary::First,
            dense: Some((at.linear("pooler.dense", (self.hidden, self.hidden), Bias::Yes)?, self.pooler)),
            norm: None,
            out: at.linear("classifier", (labels, self.hidden), Bias::Yes)?,
            is_difference: false,
        })
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        let (dense, norm, size) = if self.legacy {
            ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", self.embedding)
        } else {
            ("lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm", self.hidden)
        };
        if size != self.embedding {
            return Err(
                at.unsupported("a head with legacy false needs words of hidden_size; embedding_size is another")
            );
        }
        let dense = at.linear(dense, (size, self.hidden), Bias::Yes)?;
        let norm = at.layer_norm(norm, size, self.eps, Bias::Yes)?;
        let decoder = if self.legacy {
            at.decoder("cls.predictions.decoder", words, Some("cls.predictions.bias"))?
        } else {
            // This head takes the table of words itself, and has a bias under another name.
            let bias = at.tensor("lm_predictions.lm_head.bias", &[self.vocab_size])?;
            Linear { weight: words.table.shallow_clone(), bias: Some(bias) }
        };
        Ok(VocabularyHead { transform: Some((dense, self.activation, norm)), decoder })
    }
}

impl Deberta {
    fn embeddings(&self, builder: &mut Builder<'_>) -> Result<Embeddings> {
        let size = self.embedding;
        let mut at = builder.at("embeddings");
        let positions = if self.biased_input {
            let table = at.tensor("position_embeddings.weight", &[self.positions, size])?;
            Some(Positions { table, counting: Counting::All })
        } else {
            // Some checkpoints have the table nevertheless; transformers leaves it out as well.
            at.drop("position_embeddings.weight");
            None
        };
        let words = at.tensor("word_embeddings.weight", &[self.vocab_size, size])?;
        let types = match self.types {
            0 => None,
            types => Some(at.tensor("token_type_embeddings.weight", &[types, size])?),
        };
        let norm = at.layer_norm("LayerNorm", self.hidden, self.eps, Bias::Yes)?;
        let finish = if size == self.hidden {
            Finish::Norm(norm)
        } else {
            Finish::ProjectThenNorm(at.linear("embed_proj", (self.hidden, size), Bias::No)?, norm)
        };
        Ok(Embeddings { words, positions, types, finish })
    }

    /// The table of distances, `[2 * span, hidden]`.
    fn table(&self, builder: &mut Builder<'_>, relative: &Attention) -> Result<Tensor> {
        let rows = 2 * relative.buckets.unwrap_or(relative.farthest);
        let mut at = builder.at("encoder");
        let table = at.tensor("rel_embeddings.weight", &[rows, self.hidden])?;
        if relative.normed {
            let norm: Norm = at.layer_norm("LayerNorm", self.hidden, self.eps, Bias::Yes)?;
            return fits(norm.forward(&table));
        }
        Ok(table)
    }

    fn block(&self, builder: &mut Builder<'_>, index: usize, relative: Option<(&Attention, &Tensor)>) -> Result<Block> {
        let (hidden, inner, eps) = (self.hidden, self.inner, self.eps);
        let mut at = builder.at(&format!("encoder.layer.{index}"));
        let parts = ["query_proj", "key_proj", "value_proj"].map(|name| (name, hidden));
        let qkv = at.at("attention.self").joined(&parts, hidden, Bias::Yes)?;
        Ok(Block {
            relative: match relative {
                Some((relative, table)) => self.relative(&mut at, relative, table, &qkv)?,
                None => Relative { keys: None, queries: None },
            },
            qkv,
            out: at.linear("attention.output.dense", (hidden, hidden), Bias::Yes)?,
            attention_norm: at.layer_norm("attention.output.LayerNorm", hidden, eps, Bias::Yes)?,
            mlp: Mlp::Plain {
                up: at.linear("intermediate.dense", (inner, hidden), Bias::Yes)?,
                activation: self.activation,
                down: at.linear("output.dense", (hidden, inner), Bias::Yes)?,
            },
            norm: at.layer_norm("output.LayerNorm", hidden, eps, Bias::Yes)?,
        })
    }

    /// Projects the table of distances once, because it is the same for every text.
    fn relative(&self, at: &mut Builder<'_>, relative: &Attention, table: &Tensor, qkv: &Linear) -> Result<Relative> {
        let hidden = self.hidden;
        let mut projected = |wanted: bool, name: &str, part: i64| -> Result<Option<Tensor>> {
            if !wanted {
                return Ok(None);
            }
            let linear = if relative.shared {
                fits(narrow(qkv, part * hidden as i64, hidden as i64))?
            } else {
                at.linear(&format!("attention.self.{name}"), (hidden, hidden), Bias::Yes)?
            };
            let by_head = |x: &Tensor| x.f_reshape([-1, self.heads as i64, self.head as i64])?.f_transpose(0, 1);
            Ok(Some(fits(linear.forward(table).and_then(|x| by_head(&x)?.f_contiguous()))?))
        };
        Ok(Relative {
            keys: projected(relative.of_query, "pos_key_proj", 1)?,
            queries: projected(relative.of_key, "pos_query_proj", 0)?,
        })
    }
}

/// The part of a linear layer that gives these dimensions.
fn narrow(linear: &Linear, from: i64, count: i64) -> TorchResult<Linear> {
    Ok(Linear {
        weight: linear.weight.f_narrow(0, from, count)?,
        bias: linear.bias.as_ref().map(|bias| bias.f_narrow(0, from, count)).transpose()?,
    })
}
