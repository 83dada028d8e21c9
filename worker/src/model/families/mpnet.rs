//! MPNet: BERT without types, positions as RoBERTa counts them, and a bias of the scores by distance that all layers
//! share.

use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::{NAME, Settings, checks};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::attention::{self, Heads, Pattern, Reach, SelfAttention};
use crate::model::builder::{Bias, Builder, Tied, fits};
use crate::model::heads::{SequenceHead, Summary, VocabularyHead};
use crate::model::layers::{Activation, Mlp, TorchResult};
use crate::model::network::embeddings::{Counting, Embeddings, Finish, Positions};
use crate::model::network::post_norm::{Block, PostNorm};

/// The reference has this number in its code, whatever pad_token_id says.
const PADDING: usize = 1;

/// Buckets of distances: half of them for each direction. The reference has this number in its code, too.
const BUCKETS: i64 = 32;

/// Distances from here on are in the last bucket.
const FARTHEST: i64 = 128;

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
    layer_norm_eps: f64,
    relative_attention_num_buckets: i64,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            vocab_size: 30527,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            max_position_embeddings: 512,
            layer_norm_eps: 1e-12,
            relative_attention_num_buckets: BUCKETS,
        }
    }
}

#[derive(Debug)]
struct MpNet {
    vocab_size: usize,
    hidden: usize,
    layers: usize,
    heads: Heads,
    inner: usize,
    activation: Activation,
    positions: usize,
    eps: f64,
}

pub(super) fn read(folder: &Folder) -> Result<Box<dyn Settings>> {
    let fields: Fields = folder.json(NAME)?;
    checks::encoder_only(folder)?;
    checks::absolute_positions(folder)?;
    if fields.relative_attention_num_buckets != BUCKETS {
        let why = format!(
            "relative_attention_num_buckets {} is not supported; only {BUCKETS} is, which the reference uses for any",
            fields.relative_attention_num_buckets
        );
        return Err(folder.unsupported(NAME, why));
    }
    checks::sizes(
        folder,
        &[
            ("vocab_size", fields.vocab_size),
            ("hidden_size", fields.hidden_size),
            ("num_hidden_layers", fields.num_hidden_layers),
            ("intermediate_size", fields.intermediate_size),
            ("max_position_embeddings", fields.max_position_embeddings.saturating_sub(PADDING + 1)),
        ],
    )?;
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    Ok(Box::new(MpNet {
        vocab_size: fields.vocab_size,
        hidden,
        layers: fields.num_hidden_layers,
        heads: Heads::equal(heads, checks::head_size(folder, hidden, heads)?),
        inner: fields.intermediate_size,
        activation: checks::activation(folder, "hidden_act", &fields.hidden_act)?,
        positions: fields.max_position_embeddings,
        eps: checks::eps(folder, "layer_norm_eps", fields.layer_norm_eps)?,
    }))
}

impl Settings for MpNet {
    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_tokens(&self) -> usize {
        self.positions - PADDING - 1
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let blocks = (0..self.layers).map(|index| self.block(builder, index)).collect::<Result<Vec<_>>>()?;
        let mut at = builder.at("embeddings");
        let table = at.tensor("position_embeddings.weight", &[self.positions, self.hidden])?;
        let embeddings = Embeddings {
            words: at.tensor("word_embeddings.weight", &[self.vocab_size, self.hidden])?,
            positions: Some(Positions { table, counting: Counting::Past(PADDING as i64) }),
            types: None,
            finish: Finish::Norm(at.layer_norm("LayerNorm", self.hidden, self.eps, Bias::Yes)?),
        };
        let shape = [BUCKETS as usize, self.heads.queries as usize];
        let buckets = builder.tensor("encoder.relative_attention_bias.weight", &shape)?;
        let bias = attention::Bias::Table { values: fits(by_distance(&buckets))?, limit: FARTHEST };
        let pattern = Pattern { reach: Reach::ALL, bias: Some(bias), rotary: None };
        let order = (0..blocks.len()).collect();
        Ok(Box::new(PostNorm { embeddings, blocks, order, pattern }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead> {
        let mut at = builder.above();
        Ok(SequenceHead {
            summary: Summary::First,
            dense: Some((at.linear("classifier.dense", (self.hidden, self.hidden), Bias::Yes)?, Activation::Tanh)),
            norm: None,
            out: at.linear("classifier.out_proj", (labels, self.hidden), Bias::Yes)?,
            is_difference: false,
        })
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead> {
        let mut at = builder.above();
        let dense = at.linear("lm_head.dense", (self.hidden, self.hidden), Bias::Yes)?;
        let norm = at.layer_norm("lm_head.layer_norm", self.hidden, self.eps, Bias::Yes)?;
        let decoder = at.decoder("lm_head.decoder", words, Some("lm_head.bias"))?;
        Ok(VocabularyHead { transform: Some((dense, Activation::Gelu, norm)), decoder })
    }
}

impl MpNet {
    fn block(&self, builder: &mut Builder<'_>, index: usize) -> Result<Block> {
        let (hidden, inner, eps) = (self.hidden, self.inner, self.eps);
        let mut at = builder.at(&format!("encoder.layer.{index}"));
        Ok(Block {
            attention: SelfAttention {
                qkv: at.at("attention.attn").joined(
                    &[("q", hidden), ("k", hidden), ("v", hidden)],
                    hidden,
                    Bias::Yes,
                )?,
                out: at.linear("attention.attn.o", (hidden, hidden), Bias::Yes)?,
                heads: self.heads,
                norms: None,
                scale: None,
            },
            attention_norm: at.layer_norm("attention.LayerNorm", hidden, eps, Bias::Yes)?,
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

/// The bias of each distance of key and query from `-FARTHEST` to `FARTHEST`, `[heads, distances]`, from the table of
/// buckets `[buckets, heads]`.
fn by_distance(table: &Tensor) -> TorchResult<Tensor> {
    let rows: Vec<i64> = {
        let near = Vec::try_from(buckets()?)?;
        let ahead = near[1..].iter().map(|bucket: &i64| BUCKETS / 2 + bucket);
        near.iter().rev().copied().chain(ahead).collect()
    };
    table
        .f_index_select(0, &Tensor::f_from_slice(&rows)?.f_to_device(table.device())?)?
        .f_transpose(0, 1)?
        .f_contiguous()
}

/// The bucket of each distance from 0 on, in one direction. The steps are those of transformers'
/// `relative_position_bucket`, so that they round alike.
fn buckets() -> TorchResult<Tensor> {
    let half = BUCKETS / 2;
    let exact = half / 2;
    let distances = Tensor::f_arange(FARTHEST + 1, (Kind::Int64, Device::Cpu))?;
    let far = distances.f_to_kind(Kind::Float)?.f_div_scalar(exact)?.f_log()?;
    let far = far.f_div_scalar((FARTHEST as f64 / exact as f64).ln())?.f_mul_scalar(half - exact)?;
    let far = far.f_to_kind(Kind::Int64)?.f_add_scalar(exact)?.f_clamp_max(half - 1)?;
    distances.f_where_self(&distances.f_lt(exact)?, &far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_have_a_bucket_each_and_far_ones_share() {
        let near: Vec<i64> = Vec::try_from(buckets().unwrap()).unwrap();
        assert_eq!(near[..9], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((near[15], near[16], near[64], near[127], near[128]), (9, 10, 14, 15, 15));
        let table = Tensor::arange(BUCKETS, (Kind::Float, Device::Cpu)).reshape([BUCKETS, 1]);
        let rows: Vec<f32> = Vec::try_from(by_distance(&table).unwrap().reshape([-1])).unwrap();
        assert_eq!(rows.len() as i64, 2 * FARTHEST + 1);
        // A key before its query is in the first half of the buckets.
        assert_eq!((rows[127], rows[128], rows[129]), (1.0, 0.0, 17.0));
    }
}
