//! What follows an encoder for each token of a text: its vector, or the weight of its word. Always in 32-bit floats.

use std::collections::{BTreeMap, HashSet};

use tch::{Kind, Tensor};

use super::layers::{Linear, TorchResult};
use super::steps::Step;
use crate::batch::{Packed, Run};

/// Makes one vector per token.
#[derive(Debug, Default)]
pub struct TokenVectors {
    /// Tokens at a text's start that have no vector in the result.
    pub(super) first: usize,
    /// What is done with the encoder's vectors.
    pub(super) steps: Vec<Step>,
    /// Tokens that have no vector in the result.
    pub(super) without: Without,
}

/// Tokens without a vector, by their ids.
#[derive(Debug, Default)]
pub struct Without {
    pub(super) queries: HashSet<i64>,
    pub(super) documents: HashSet<i64>,
}

impl TokenVectors {
    /// Vectors for late interaction: these steps on the encoder's, and none for these tokens.
    pub(crate) fn new(steps: Vec<Step>, queries: HashSet<i64>, documents: HashSet<i64>) -> Self {
        Self { first: 0, steps, without: Without { queries, documents } }
    }

    /// For each text of the batch its vectors, in the order of its tokens, from the encoder's `[tokens, hidden]`.
    pub fn of(&self, hidden: &Tensor, packed: &Packed) -> TorchResult<Vec<Vec<Vec<f32>>>> {
        let mut vectors = hidden.f_to_kind(Kind::Float)?;
        for step in &self.steps {
            vectors = step.apply(&vectors)?;
        }
        let mut tokens = packed.ids.iter().zip(rows(&vectors)?);
        let texts = lengths(packed).zip(&packed.queries).map(|(length, is_query)| {
            let without = if *is_query { &self.without.queries } else { &self.without.documents };
            let counted = tokens.by_ref().take(length).skip(self.first).filter(|(id, _)| !without.contains(*id));
            counted.map(|(_, vector)| vector).collect()
        });
        Ok(texts.collect())
    }
}

/// Makes one weight per word of a text: the largest of its tokens.
pub struct TokenWeights {
    /// From a token's vector to its weight, `[1, hidden]` in 32-bit floats.
    pub(super) linear: Linear,
    /// Words that never have a weight, by their ids.
    pub(super) without: HashSet<i64>,
}

impl TokenWeights {
    /// For each text of the batch its words that have a weight, in the order of their ids, from the encoder's `[tokens, hidden]`.
    pub fn of(&self, hidden: &Tensor, packed: &Packed) -> TorchResult<Vec<Vec<(u32, f32)>>> {
        let weights = self.linear.forward(&hidden.f_to_kind(Kind::Float)?)?.f_relu()?;
        let mut tokens = packed.ids.iter().zip(rows(&weights)?.into_iter().flatten());
        let texts = lengths(packed).map(|length| {
            let mut words = BTreeMap::<u32, f32>::new();
            for (id, weight) in tokens.by_ref().take(length) {
                // A number that is none stays, so that it is noticed.
                if (weight > 0.0 || weight.is_nan()) && !self.without.contains(id) {
                    let most = words.entry(*id as u32).or_default();
                    if weight > *most || weight.is_nan() {
                        *most = weight;
                    }
                }
            }
            words.into_iter().collect()
        });
        Ok(texts.collect())
    }
}

/// The rows of each text's tokens.
pub(super) fn by_text(rows: Vec<Vec<f32>>, packed: &Packed) -> Vec<Vec<Vec<f32>>> {
    let mut rows = rows.into_iter();
    lengths(packed).map(|length| rows.by_ref().take(length).collect()).collect()
}

/// Tokens of each text of a batch.
fn lengths(packed: &Packed) -> impl Iterator<Item = usize> {
    packed.runs.iter().flat_map(|Run { texts, length, .. }| (0..*texts).map(|_| *length as usize))
}

/// The rows of `[rows, columns]`.
pub(super) fn rows(values: &Tensor) -> TorchResult<Vec<Vec<f32>>> {
    let values = values.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
    let (rows, columns) = values.size2()?;
    let mut copied = vec![0_f32; (rows * columns) as usize];
    values.f_contiguous()?.f_copy_data(&mut copied, (rows * columns) as usize)?;
    Ok(copied.chunks_exact(columns.max(1) as usize).map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of two texts, of three tokens and of two.
    fn batch() -> (Tensor, Packed) {
        let hidden = Tensor::from_slice(&[3_f32, 4.0, 0.0, 2.0, 1.0, 0.0, 0.0, -1.0, 5.0, 12.0]).reshape([5, 2]);
        (hidden, Packed::new(&[&[2, 7, 7], &[2, 9]]))
    }

    #[test]
    fn every_token_has_its_vector_unless_the_first_ones_are_left_out() {
        let (hidden, packed) = batch();
        let plain = TokenVectors::default().of(&hidden, &packed).unwrap();
        assert_eq!(
            plain,
            [vec![vec![3.0, 4.0], vec![0.0, 2.0], vec![1.0, 0.0]], vec![vec![0.0, -1.0], vec![5.0, 12.0]]]
        );
        let shaped = TokenVectors { first: 1, steps: vec![Step::Normalize], ..TokenVectors::default() }
            .of(&hidden, &packed)
            .unwrap();
        assert_eq!(shaped[0], [vec![0.0, 1.0], vec![1.0, 0.0]]);
        assert!((shaped[1][0][0] - 5.0 / 13.0).abs() < 1e-6, "{shaped:?}");
    }

    #[test]
    fn tokens_of_the_skiplist_have_no_vector_in_documents_and_may_have_one_in_queries() {
        let (hidden, mut packed) = batch();
        packed.queries = vec![false, true];
        let vectors =
            TokenVectors::new(Vec::new(), HashSet::from([9]), HashSet::from([7])).of(&hidden, &packed).unwrap();
        assert_eq!(vectors, [vec![vec![3.0, 4.0]], vec![vec![0.0, -1.0]]]);
    }

    #[test]
    fn a_word_weighs_as_much_as_its_heaviest_token_and_special_tokens_weigh_nothing() {
        let (hidden, packed) = batch();
        let linear = Linear { weight: Tensor::from_slice(&[1_f32, 1.0]).reshape([1, 2]), bias: None };
        let of = |without: &[i64]| {
            let without = without.iter().copied().collect();
            TokenWeights { linear: Linear { weight: linear.weight.copy(), bias: None }, without }
                .of(&hidden, &packed)
                .unwrap()
        };
        assert_eq!(of(&[2]), [vec![(7, 2.0)], vec![(9, 17.0)]]);
        assert_eq!(of(&[]), [vec![(2, 7.0), (7, 2.0)], vec![(9, 17.0)]], "a weight below 0 is none");
    }

    #[test]
    fn a_weight_that_is_no_number_is_not_hidden_by_another_of_its_word() {
        let (_, packed) = batch();
        let linear = Linear { weight: Tensor::from_slice(&[1_f32]).reshape([1, 1]), bias: None };
        let weights = TokenWeights { linear, without: HashSet::new() };
        let hidden = Tensor::from_slice(&[1_f32, f32::NAN, 3.0, 1.0, 1.0]).reshape([5, 1]);
        assert!(weights.of(&hidden, &packed).unwrap()[0].iter().any(|(id, weight)| *id == 7 && weight.is_nan()));
    }
}
