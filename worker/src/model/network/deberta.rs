//! DeBERTa's network: BERT's blocks with disentangled attention, in which a score also depends on the content of a
//! token together with the distance of the other (<https://arxiv.org/abs/2006.03654>).

use tch::{Device, Kind, Tensor};

use super::embeddings::Embeddings;
use crate::batch::{Packed, Run};
use crate::model::Encoder;
use crate::model::layers::{Linear, Mlp, Norm, TorchResult};

/// Relative positions by distance.
pub(in crate::model) struct Distances {
    /// Row of the table for each distance from 0 on; rows of negative distances mirror them.
    buckets: Tensor,
    /// Half the rows of the table: the row of distance 0.
    span: i64,
}

impl Distances {
    /// Distances up to `longest`, each with a row of its own, or in `buckets` that grow with the distance up to
    /// `farthest`. The steps are those of transformers' `make_log_bucket_position`, so that they round alike.
    pub(in crate::model) fn new(
        (longest, farthest): (usize, usize),
        buckets: Option<usize>,
        device: Device,
    ) -> TorchResult<Self> {
        let distances = Tensor::f_arange(longest as i64, (Kind::Int64, Device::Cpu))?;
        let Some(count) = buckets else {
            return Ok(Self { buckets: distances.f_to_device(device)?, span: farthest as i64 });
        };
        let middle = count as i64 / 2;
        let range = Tensor::f_from_slice(&[(farthest as f64 - 1.0) / middle as f64])?.f_to_kind(Kind::Float)?;
        let far = distances.f_clamp_min(middle)?.f_div_scalar(middle)?.f_log()?.f_div(&range.f_log()?)?;
        let far = far.f_mul_scalar(middle - 1)?.f_ceil()?.f_add_scalar(middle)?.f_to_kind(Kind::Int64)?;
        let buckets = distances.f_where_self(&distances.f_le(middle)?, &far)?;
        Ok(Self { buckets: buckets.f_to_device(device)?, span: count as i64 })
    }

    /// Rows of the table for a text of this length.
    fn rows(&self, length: i64) -> TorchResult<Rows> {
        let tokens = Tensor::f_arange(length, (Kind::Int64, self.buckets.device()))?;
        let distances = tokens.f_unsqueeze(1)?.f_sub(&tokens.f_unsqueeze(0)?)?;
        let rows = self.buckets.f_index_select(0, &distances.f_abs()?.f_reshape([-1])?)?.f_reshape([length, length])?;
        let rows = rows.f_mul(&distances.f_sign()?)?;
        let shifted = |rows: &Tensor| rows.f_add_scalar(self.span)?.f_clamp(0, 2 * self.span - 1);
        Ok(Rows { of_query: shifted(&rows)?, of_key: shifted(&rows.f_neg()?)? })
    }
}

/// Rows of the table of distances, for each pair of tokens.
struct Rows {
    /// `[query, key]`.
    of_query: Tensor,
    /// `[key, query]`.
    of_key: Tensor,
}

/// The table of distances, projected by a layer: `[heads, 2 * span, size]` each.
pub(in crate::model) struct Relative {
    /// For the content of the query.
    pub(in crate::model) keys: Option<Tensor>,
    /// For the content of the key.
    pub(in crate::model) queries: Option<Tensor>,
}

/// A block.
pub(in crate::model) struct Block {
    /// Query, key and value in one.
    pub(in crate::model) qkv: Linear,
    pub(in crate::model) out: Linear,
    pub(in crate::model) relative: Relative,
    pub(in crate::model) attention_norm: Norm,
    pub(in crate::model) mlp: Mlp,
    pub(in crate::model) norm: Norm,
}

/// The network.
pub(in crate::model) struct Deberta {
    pub(in crate::model) embeddings: Embeddings,
    pub(in crate::model) blocks: Vec<Block>,
    /// None without relative attention.
    pub(in crate::model) distances: Option<Distances>,
    pub(in crate::model) heads: i64,
    /// What scores are multiplied with.
    pub(in crate::model) scale: f64,
}

impl Deberta {
    fn attention(&self, block: &Block, x: &Tensor, runs: &[(Run, Option<Rows>)]) -> TorchResult<Tensor> {
        let qkv = block.qkv.forward(x)?;
        let parts = runs.iter().map(|(Run { offset, texts, length, .. }, rows)| {
            let run = qkv.f_narrow(0, *offset, texts * length)?.f_reshape([*texts, *length, 3, self.heads, -1])?;
            let run = run.f_permute([2, 0, 3, 1, 4])?;
            let (q, k, v) = (run.f_select(0, 0)?, run.f_select(0, 1)?, run.f_select(0, 2)?);
            let bias = rows.as_ref().map(|rows| self.bias(&block.relative, &q, &k, rows)).transpose()?.flatten();
            let scale = Some(self.scale);
            let context = Tensor::f_scaled_dot_product_attention(&q, &k, &v, bias, 0.0, false, scale, false)?;
            context.f_transpose(1, 2)?.f_reshape([texts * length, -1])
        });
        block.out.forward(&Tensor::f_cat(&parts.collect::<TorchResult<Vec<_>>>()?, 0)?)
    }

    /// What the distances add to the scores, `[texts, heads, query, key]`.
    fn bias(&self, relative: &Relative, q: &Tensor, k: &Tensor, rows: &Rows) -> TorchResult<Option<Tensor>> {
        let chosen = |content: &Tensor, table: &Tensor, rows: &Tensor| {
            let scores = content.f_matmul(&table.f_transpose(1, 2)?)?;
            let (size, length) = (scores.size(), rows.size()[0]);
            scores.f_gather(-1, &rows.f_expand([size[0], size[1], length, length], false)?, false)
        };
        let of_query = relative.keys.as_ref().map(|keys| chosen(q, keys, &rows.of_query)).transpose()?;
        let of_key = relative.queries.as_ref().map(|queries| chosen(k, queries, &rows.of_key)?.f_transpose(2, 3));
        let sum = match (of_query, of_key.transpose()?) {
            (Some(query), Some(key)) => Some(query.f_add(&key)?),
            (query, key) => query.or(key),
        };
        sum.map(|sum| sum.f_mul_scalar(self.scale)).transpose()
    }
}

impl Encoder for Deberta {
    fn encode(&self, packed: &Packed) -> TorchResult<Tensor> {
        let mut x = self.embeddings.forward(packed, self.embeddings.words.device())?;
        let rows = |run: &Run| self.distances.as_ref().map(|distances| distances.rows(run.length)).transpose();
        let runs = packed.runs.iter().map(|run| Ok((*run, rows(run)?))).collect::<TorchResult<Vec<_>>>()?;
        for block in &self.blocks {
            x = block.attention_norm.forward(&self.attention(block, &x, &runs)?.f_add_(&x)?)?;
            x = block.norm.forward(&block.mlp.forward(&x)?.f_add_(&x)?)?;
        }
        Ok(x)
    }

    fn words(&self) -> &Tensor {
        &self.embeddings.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_have_rows_of_their_own_and_far_ones_share_them() {
        let distances = Distances::new((40, 32), Some(8), Device::Cpu).unwrap();
        let buckets: Vec<i64> = Vec::try_from(&distances.buckets).unwrap();
        assert_eq!(buckets[..5], [0, 1, 2, 3, 4]);
        assert_eq!((buckets[5], buckets[12], buckets[31], buckets[39]), (5, 6, 7, 8));
        let rows = distances.rows(40).unwrap();
        let at = |rows: &Tensor, row: i64, column: i64| rows.int64_value(&[row, column]);
        assert_eq!((at(&rows.of_query, 0, 0), at(&rows.of_query, 3, 0), at(&rows.of_query, 0, 3)), (8, 11, 5));
        assert_eq!((at(&rows.of_query, 39, 0), at(&rows.of_query, 0, 39)), (15, 0));
        assert_eq!((at(&rows.of_key, 39, 0), at(&rows.of_key, 0, 39)), (0, 15));
    }
}
