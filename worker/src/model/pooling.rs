//! Computes one vector per text from one vector per token, always in 32-bit floats.

use tch::{Kind, TchError, Tensor};

use crate::batch::{Packed, Run};

/// A way to pool, as sentence-transformers defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The first token's vector.
    Cls,
    /// The largest value of each dimension.
    Max,
    /// The mean over the tokens.
    Mean,
    /// The sum over the square root of the length.
    MeanSqrtLen,
    /// A mean in which token `i` weighs `i + 1`.
    WeightedMean,
    /// The last token's vector.
    LastToken,
}

impl Mode {
    /// The name in `1_Pooling/config.json`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cls" => Self::Cls,
            "max" => Self::Max,
            "mean" => Self::Mean,
            "mean_sqrt_len_tokens" => Self::MeanSqrtLen,
            "weightedmean" => Self::WeightedMean,
            "lasttoken" => Self::LastToken,
            _ => return None,
        })
    }

    /// The name in `1_Pooling/config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
        }
    }

    /// Pools `[texts, length, hidden]` to `[texts, hidden]`. The tokens are those from position `first` of their texts on.
    fn pool(self, tokens: &Tensor, first: i64) -> Result<Tensor, TchError> {
        let length = tokens.size()[1];
        let sum = || tokens.f_sum_dim_intlist([1].as_ref(), false, Kind::Float);
        match self {
            Self::Cls => tokens.f_select(1, 0),
            Self::LastToken => tokens.f_select(1, length - 1),
            Self::Max => tokens.f_amax([1].as_ref(), false),
            Self::Mean => sum()?.f_div_scalar(length as f64),
            Self::MeanSqrtLen => sum()?.f_div_scalar((length as f64).sqrt()),
            Self::WeightedMean => {
                // A token weighs what it would without the prompt's being left out.
                let (from, to) = (first + 1, first + length);
                let weights = Tensor::f_arange_start(from, to + 1, (Kind::Float, tokens.device()))?;
                let total = (to * (to + 1) - first * from) / 2;
                let weights = weights.f_div_scalar(total as f64)?.f_reshape([1, length, 1])?;
                tokens.f_mul(&weights)?.f_sum_dim_intlist([1].as_ref(), false, Kind::Float)
            }
        }
    }
}

/// Pooling modes whose vectors are concatenated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooling(Vec<Mode>);

impl Pooling {
    /// A pooling with these modes; there must be at least one.
    pub fn new(modes: Vec<Mode>) -> Self {
        Self(modes)
    }

    /// The names of the modes, with a `+` between two.
    pub fn name(&self) -> String {
        self.0.iter().map(|mode| mode.name()).collect::<Vec<_>>().join("+")
    }

    /// Length of a pooled vector.
    pub fn dimensions(&self, hidden: usize) -> usize {
        hidden * self.0.len()
    }

    /// One row per text, in the order of the batch. Runs of equal length are pooled one by one, so that a text's vector
    /// does not depend on its neighbours.
    pub fn pool(&self, hidden: &Tensor, packed: &Packed) -> Result<Tensor, TchError> {
        let mut rows = Vec::new();
        let mut row = 0;
        for Run { offset, texts, length, seen } in &packed.runs {
            // Texts side by side that leave out equally much.
            let mut done = 0;
            while done < *texts {
                let skipped = packed.skipped[row];
                let alike =
                    packed.skipped[row..].iter().take((texts - done) as usize).take_while(|s| **s == skipped).count();
                let run = Run { offset: offset + done * length, texts: alike as i64, length: *length, seen: *seen };
                rows.push(self.run(hidden, run, skipped)?);
                done += alike as i64;
                row += alike;
            }
        }
        Tensor::f_cat(&rows, 0)
    }

    fn run(&self, hidden: &Tensor, Run { offset, texts, length, .. }: Run, skipped: i64) -> Result<Tensor, TchError> {
        let tokens = hidden.f_narrow(0, offset, texts * length)?.f_reshape([texts, length, -1])?;
        let tokens = tokens.f_narrow(1, skipped, length - skipped)?.f_to_kind(Kind::Float)?;
        let parts = self.0.iter().map(|mode| mode.pool(&tokens, skipped)).collect::<Result<Vec<_>, _>>()?;
        Tensor::f_cat(&parts, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(modes: Vec<Mode>) -> Vec<f32> {
        let packed = Packed::new(&[&[1, 1], &[1]]);
        let hidden = Tensor::from_slice(&[1_f32, 8.0, 3.0, 2.0, 5.0, 6.0]).reshape([3, 2]);
        let rows = Pooling::new(modes).pool(&hidden, &packed).unwrap();
        Vec::try_from(rows.reshape([-1])).unwrap()
    }

    #[test]
    fn tokens_of_a_prompt_are_left_out_and_the_others_keep_their_weights() {
        let mut packed = Packed::new(&[&[1, 1, 1], &[1, 1, 1]]);
        packed.skipped = vec![1, 0];
        let hidden = Tensor::from_slice(&[9_f32, 1.0, 4.0, 9.0, 1.0, 4.0]).reshape([6, 1]);
        let pool = |mode| {
            Vec::<f32>::try_from(Pooling::new(vec![mode]).pool(&hidden, &packed).unwrap().reshape([-1])).unwrap()
        };
        assert_eq!(pool(Mode::Mean), [2.5, 14.0 / 3.0]);
        assert_eq!(pool(Mode::Cls), [1.0, 9.0]);
        assert_eq!(pool(Mode::Max), [4.0, 9.0]);
        let weighted = pool(Mode::WeightedMean);
        assert!((weighted[0] - 14.0 / 5.0).abs() < 1e-6 && (weighted[1] - 23.0 / 6.0).abs() < 1e-6, "{weighted:?}");
    }

    #[test]
    fn each_mode_pools_as_sentence_transformers_does() {
        assert_eq!(pool(vec![Mode::Cls]), [1.0, 8.0, 5.0, 6.0]);
        assert_eq!(pool(vec![Mode::LastToken]), [3.0, 2.0, 5.0, 6.0]);
        assert_eq!(pool(vec![Mode::Max]), [3.0, 8.0, 5.0, 6.0]);
        assert_eq!(pool(vec![Mode::Mean]), [2.0, 5.0, 5.0, 6.0]);
        assert_eq!(pool(vec![Mode::WeightedMean]), [7.0 / 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(pool(vec![Mode::MeanSqrtLen])[2..], [5.0, 6.0]);
        assert_eq!(pool(vec![Mode::Cls, Mode::Max])[..4], [1.0, 8.0, 3.0, 8.0]);
    }
}
