//! What follows an encoder for other outputs than vectors: classes of a text, and words of the vocabulary.

use tch::{Kind, Tensor};

use super::layers::{Activation, Linear, Norm, TorchResult};
use crate::batch::{Packed, Run};

/// Largest tensor of a vocabulary head, in elements: logits are computed for so many tokens at a time.
const LOGITS_LIMIT: i64 = 1 << 24;

/// The vector of a text that a head of sequence classification starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Summary {
    /// The first token's.
    First,
    /// The mean of all.
    Mean,
    /// The last token's that has not this id; the last of all, if there is no such id.
    Last(Option<i64>),
}

/// A head of sequence classification: one number per label for each text, as the model computes it.
pub struct SequenceHead {
    pub(super) summary: Summary,
    pub(super) dense: Option<(Linear, Activation)>,
    pub(super) norm: Option<Norm>,
    pub(super) out: Linear,
    /// Whether the two numbers of `out` make one: the first less the second.
    pub(super) is_difference: bool,
}

impl SequenceHead {
    /// Numbers per text.
    pub fn labels(&self) -> usize {
        if self.is_difference { 1 } else { self.out.weight.size()[0] as usize }
    }

    /// `[texts, labels]` in 32-bit floats, in the order of the batch, from the encoder's `[tokens, hidden]`.
    pub fn logits(&self, hidden: &Tensor, packed: &Packed) -> TorchResult<Tensor> {
        let mut x = self.summary.of(hidden, packed)?;
        if let Some((dense, activation)) = &self.dense {
            x = activation.apply(dense.forward(&x)?)?;
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x)?;
        }
        let logits = self.out.forward(&x)?.f_to_kind(Kind::Float)?;
        if self.is_difference { logits.f_narrow(1, 0, 1)?.f_sub(&logits.f_narrow(1, 1, 1)?) } else { Ok(logits) }
    }
}

/// A head of token classification: one number per label for each token.
pub struct TokenHead {
    pub(super) dense: Option<(Linear, Activation, Norm)>,
    pub(super) out: Linear,
}

impl TokenHead {
    /// `[tokens, labels]` in 32-bit floats, from the encoder's `[tokens, hidden]`.
    pub fn logits(&self, hidden: &Tensor) -> TorchResult<Tensor> {
        let logits = match &self.dense {
            Some((dense, activation, norm)) => {
                self.out.forward(&norm.forward(&activation.apply(dense.forward(hidden)?)?)?)?
            }
            None => self.out.forward(hidden)?,
        };
        logits.f_to_kind(Kind::Float)
    }
}

impl Summary {
    /// `[texts, hidden]`.
    fn of(self, hidden: &Tensor, packed: &Packed) -> TorchResult<Tensor> {
        if self == Self::Mean {
            let means = packed.runs.iter().map(|Run { offset, texts, length, .. }| {
                let run = hidden.f_narrow(0, *offset, texts * length)?.f_reshape([*texts, *length, -1])?;
                run.f_mean_dim([1].as_slice(), false, hidden.kind())
            });
            return Tensor::f_cat(&means.collect::<TorchResult<Vec<_>>>()?, 0);
        }
        let texts = packed.runs.iter().flat_map(|Run { offset, texts, length, .. }| {
            (0..*texts).map(move |text| (offset + text * length, offset + (text + 1) * length))
        });
        let rows: Vec<i64> = texts.map(|(from, end)| self.row(&packed.ids, from, end)).collect();
        hidden.f_index_select(0, &Tensor::f_from_slice(&rows)?.f_to_device(hidden.device())?)
    }

    /// The token of a text that goes from one row to before another.
    fn row(self, ids: &[i64], from: i64, end: i64) -> i64 {
        match self {
            Self::Last(None) => end - 1,
            // A text of nothing but this id gives its first token, as in the reference.
            Self::Last(Some(padding)) => (from..end).rev().find(|row| ids[*row as usize] != padding).unwrap_or(from),
            Self::First | Self::Mean => from,
        }
    }
}

/// How the logits of a text's tokens become one weight per word of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordPooling {
    /// The largest over the tokens.
    Max,
    /// The sum over the tokens.
    Sum,
}

/// How a logit becomes a weight (sentence-transformers' `SpladePooling`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordWeight {
    /// `log(1 + relu(x))`.
    Log,
    /// `log(1 + log(1 + relu(x)))`.
    LogOfLog,
}

impl WordWeight {
    fn of(self, logits: &Tensor) -> TorchResult<Tensor> {
        let mut weights = logits.f_relu()?.f_log1p_()?;
        match self {
            Self::Log => Ok(weights),
            Self::LogOfLog => weights.f_log1p_(),
        }
    }
}

/// A head that predicts words: one number per word of the vocabulary for each token.
pub struct VocabularyHead {
    /// Steps before the decoder; decoders have none.
    pub(super) transform: Option<(Linear, Activation, Norm)>,
    /// To the vocabulary.
    pub(super) decoder: Linear,
}

impl VocabularyHead {
    /// Words of the vocabulary.
    pub fn words(&self) -> usize {
        self.decoder.weight.size()[0] as usize
    }

    /// `[tokens, vocabulary]` in the model's type, from the encoder's `[tokens, hidden]`.
    pub fn logits(&self, hidden: &Tensor) -> TorchResult<Tensor> {
        match &self.transform {
            None => self.decoder.forward(hidden),
            Some((dense, activation, norm)) => {
                self.decoder.forward(&norm.forward(&activation.apply(dense.forward(hidden)?)?)?)
            }
        }
    }

    /// The weights of all words for each text, `[texts, vocabulary]` in 32-bit floats, in the order of the batch.
    pub fn weights(
        &self,
        hidden: &Tensor,
        packed: &Packed,
        pooling: WordPooling,
        weight: WordWeight,
    ) -> TorchResult<Tensor> {
        let texts = packed.runs.iter().flat_map(|Run { offset, texts, length, .. }| {
            (0..*texts).map(move |text| (offset + text * length, *length))
        });
        let rows = texts.map(|(from, length)| self.text(&hidden.f_narrow(0, from, length)?, pooling, weight));
        Tensor::f_stack(&rows.collect::<TorchResult<Vec<_>>>()?, 0)
    }

    /// The weights of one text, `[vocabulary]`.
    fn text(&self, hidden: &Tensor, pooling: WordPooling, weight: WordWeight) -> TorchResult<Tensor> {
        let (length, piece) = (hidden.size()[0], (LOGITS_LIMIT / self.words() as i64).max(1));
        let mut whole: Option<Tensor> = None;
        for from in (0..length).step_by(piece as usize) {
            let logits = self.logits(&hidden.f_narrow(0, from, piece.min(length - from))?)?.f_to_kind(Kind::Float)?;
            let part = match pooling {
                // The weight grows with the logit, so the largest of one is the largest of the other.
                WordPooling::Max => logits.f_amax([0].as_slice(), false)?,
                WordPooling::Sum => weight.of(&logits)?.f_sum_dim_intlist([0].as_slice(), false, Kind::Float)?,
            };
            whole = Some(match (whole, pooling) {
                (None, _) => part,
                (Some(before), WordPooling::Max) => before.f_maximum(&part)?,
                (Some(before), WordPooling::Sum) => before.f_add(&part)?,
            });
        }
        let whole = whole.map_or_else(|| Tensor::f_zeros([self.words() as i64], (Kind::Float, hidden.device())), Ok)?;
        match pooling {
            WordPooling::Max => weight.of(&whole),
            WordPooling::Sum => Ok(whole),
        }
    }

    /// A head with one label: the last token's logit of the word `yes`, less that of `no`. So causal rerankers score
    /// (sentence-transformers' `LogitScore`). `None` if the vocabulary has no such word.
    pub fn score_of(self, yes: usize, no: Option<usize>) -> TorchResult<Option<SequenceHead>> {
        let known = |word: usize| word < self.words();
        if !known(yes) || !no.is_none_or(known) {
            return Ok(None);
        }
        let words: Vec<i64> = [Some(yes), no].into_iter().flatten().map(|word| word as i64).collect();
        let words = Tensor::f_from_slice(&words)?.f_to_device(self.decoder.weight.device())?;
        let rows = |table: &Tensor| table.f_index_select(0, &words);
        let out =
            Linear { weight: rows(&self.decoder.weight)?, bias: self.decoder.bias.as_ref().map(rows).transpose()? };
        let (dense, norm) = match self.transform {
            Some((dense, activation, norm)) => (Some((dense, activation)), Some(norm)),
            None => (None, None),
        };
        Ok(Some(SequenceHead { summary: Summary::Last(None), dense, norm, out, is_difference: no.is_some() }))
    }
}

/// What a model has beside its encoder.
pub enum Head {
    /// Classes of a text.
    Sequence(SequenceHead),
    /// Words of the vocabulary.
    Vocabulary(VocabularyHead),
    /// Classes of each token.
    Tokens(TokenHead),
}

/// Which head to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// See [`Head::Sequence`].
    Sequence,
    /// See [`Head::Vocabulary`].
    Vocabulary,
    /// See [`Head::Tokens`].
    Tokens,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(weight: &[f32], words: i64) -> VocabularyHead {
        let weight = Tensor::from_slice(weight).reshape([words, -1]);
        VocabularyHead { transform: None, decoder: Linear { weight, bias: None } }
    }

    #[test]
    fn the_summary_of_a_text_is_where_it_says() {
        let packed = Packed::new(&[&[5, 6, 0], &[7]]);
        let hidden = Tensor::from_slice(&[1_f32, 2.0, 6.0, 9.0]).reshape([4, 1]);
        let of = |summary: Summary| Vec::<f32>::try_from(summary.of(&hidden, &packed).unwrap().reshape([-1])).unwrap();
        assert_eq!(of(Summary::First), [1.0, 9.0]);
        assert_eq!(of(Summary::Mean), [3.0, 9.0]);
        assert_eq!(of(Summary::Last(None)), [6.0, 9.0]);
        assert_eq!(of(Summary::Last(Some(0))), [2.0, 9.0]);
        assert_eq!(of(Summary::Last(Some(7))), [6.0, 9.0]);
    }

    #[test]
    fn words_have_the_largest_weight_or_the_sum() {
        let packed = Packed::new(&[&[1, 1], &[1]]);
        let hidden = Tensor::from_slice(&[1_f32, -2.0, 3.0]).reshape([3, 1]);
        let head = head(&[1.0, -1.0], 2);
        let of = |pooling, weight| {
            Vec::<f32>::try_from(head.weights(&hidden, &packed, pooling, weight).unwrap().reshape([-1])).unwrap()
        };
        let log = |x: f32| x.ln_1p();
        assert_eq!(of(WordPooling::Max, WordWeight::Log), [log(1.0), log(2.0), log(3.0), 0.0]);
        assert_eq!(of(WordPooling::Sum, WordWeight::LogOfLog), [log(log(1.0)), log(log(2.0)), log(log(3.0)), 0.0]);
    }

    #[test]
    fn a_score_is_the_difference_of_two_words() {
        let packed = Packed::new(&[&[1, 1]]);
        let hidden = Tensor::from_slice(&[1_f32, 2.0]).reshape([2, 1]);
        let score = head(&[1.0, 4.0, 9.0], 3).score_of(2, Some(1)).unwrap().unwrap();
        assert_eq!(score.logits(&hidden, &packed).unwrap().double_value(&[0, 0]), 10.0);
        assert!(head(&[1.0], 1).score_of(0, Some(1)).unwrap().is_none());
    }
}
