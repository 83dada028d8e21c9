//! The engine that runs an encoder, and what follows it, on libtorch.

use tch::TchError;

use super::Encoder;
use super::heads::{SequenceHead, TokenHead, VocabularyHead, WordPooling, WordWeight};
use super::m3::M3;
use super::pooling::Pooling;
use super::steps::Step;
use super::tokens::{TokenVectors, TokenWeights, by_text, rows};
use crate::batch::Packed;
use crate::device::one_line;
use crate::engine::{Engine, EngineError, Output, OutputSet, Outputs};

/// An encoder with what follows it. Belongs to the thread that made it.
pub struct TorchEngine {
    encoder: Box<dyn Encoder>,
    /// Makes one vector per text.
    dense: Option<(Pooling, Vec<Step>)>,
    /// Makes one vector per token.
    vectors: Option<TokenVectors>,
    /// Makes one weight per word of a text.
    weights: Option<TokenWeights>,
    /// Makes one number per label.
    sequence: Option<SequenceHead>,
    /// Makes one number per label for each token.
    tokens: Option<TokenHead>,
    /// Makes one weight per word of the vocabulary.
    words: Option<(VocabularyHead, WordPooling, WordWeight)>,
}

impl TorchEngine {
    fn bare(encoder: Box<dyn Encoder>) -> Self {
        Self { encoder, dense: None, vectors: None, weights: None, sequence: None, tokens: None, words: None }
    }

    /// An engine of this encoder, this pooling, and the steps after it. Beside a text's vector it gives the encoder's vectors of
    /// its tokens.
    pub(crate) fn new(encoder: Box<dyn Encoder>, pooling: Pooling, steps: Vec<Step>) -> Self {
        Self { dense: Some((pooling, steps)), vectors: Some(TokenVectors::default()), ..Self::bare(encoder) }
    }

    /// The same with heads for tokens. A head for their vectors takes the place of the encoder's own.
    pub(crate) fn with(self, heads: M3) -> Self {
        Self { vectors: heads.vectors.or(self.vectors), weights: heads.weights, ..self }
    }

    /// An engine for late interaction: vectors of tokens, and none of texts.
    pub fn of_tokens(encoder: Box<dyn Encoder>, vectors: TokenVectors) -> Self {
        Self { vectors: Some(vectors), ..Self::bare(encoder) }
    }

    /// An engine that classifies or scores texts.
    pub fn of_sequence(encoder: Box<dyn Encoder>, head: SequenceHead) -> Self {
        Self { sequence: Some(head), ..Self::bare(encoder) }
    }

    /// An engine that classifies tokens.
    pub fn of_token_classes(encoder: Box<dyn Encoder>, head: TokenHead) -> Self {
        Self { tokens: Some(head), ..Self::bare(encoder) }
    }

    /// An engine that weighs the words of the vocabulary.
    pub fn of_words(encoder: Box<dyn Encoder>, head: VocabularyHead, pooling: WordPooling, weight: WordWeight) -> Self {
        Self { words: Some((head, pooling, weight)), ..Self::bare(encoder) }
    }

    /// Computes all wanted outputs from one run of the encoder.
    fn compute(&self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, TchError> {
        let hidden = self.encoder.encode(packed)?;
        let mut outputs = Outputs::default();
        if let Some((pooling, steps)) = self.dense.as_ref().filter(|_| wanted.has(Output::Dense)) {
            let mut vectors = pooling.pool(&hidden, packed)?;
            for step in steps {
                vectors = step.apply(&vectors)?;
            }
            outputs.dense = Some(rows(&vectors)?);
        }
        if let Some(vectors) = self.vectors.as_ref().filter(|_| wanted.has(Output::MultiVector)) {
            outputs.multi_vector = Some(vectors.of(&hidden, packed)?);
        }
        if let Some(weights) = self.weights.as_ref().filter(|_| wanted.has(Output::Sparse)) {
            outputs.sparse = Some(weights.of(&hidden, packed)?);
        }
        if let Some(head) = self.sequence.as_ref().filter(|_| wanted.has(self.of_head())) {
            let logits = rows(&head.logits(&hidden, packed)?)?;
            if head.labels() == 1 {
                outputs.scores = Some(logits.into_iter().flatten().collect());
            } else {
                outputs.classes = Some(logits);
            }
        }
        if let Some(head) = self.tokens.as_ref().filter(|_| wanted.has(Output::TokenClasses)) {
            outputs.token_classes = Some(by_text(rows(&head.logits(&hidden)?)?, packed));
        }
        if let Some((head, pooling, weight)) = self.words.as_ref().filter(|_| wanted.has(Output::Sparse)) {
            let weights = rows(&head.weights(&hidden, packed, *pooling, *weight)?)?;
            outputs.sparse = Some(weights.into_iter().map(|row| positive(&row)).collect());
        }
        Ok(outputs)
    }

    /// The output of the head of sequence classification.
    fn of_head(&self) -> Output {
        match &self.sequence {
            Some(head) if head.labels() == 1 => Output::Score,
            _ => Output::Classes,
        }
    }
}

/// The words with a weight. One that is not a number stays, so that it is noticed.
fn positive(row: &[f32]) -> Vec<(u32, f32)> {
    (0..).zip(row).filter(|(_, weight)| **weight != 0.0).map(|(word, weight)| (word, *weight)).collect()
}

impl Engine for TorchEngine {
    fn outputs(&self) -> OutputSet {
        let has = [
            self.dense.as_ref().map(|_| Output::Dense),
            self.vectors.as_ref().map(|_| Output::MultiVector),
            self.weights.as_ref().map(|_| Output::Sparse),
            self.sequence.as_ref().map(|_| self.of_head()),
            self.tokens.as_ref().map(|_| Output::TokenClasses),
            self.words.as_ref().map(|_| Output::Sparse),
        ];
        OutputSet::of(has.into_iter().flatten())
    }

    fn forward(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError> {
        self.compute(packed, wanted).map_err(|error| EngineError::Failed(one_line(&error)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;
    use std::rc::Rc;

    use tch::Tensor;

    use super::*;
    use crate::model::layers::Linear;
    use crate::model::pooling::Mode;

    /// A token's vector is its id, and the number 1. Counts its runs.
    struct Ids(Tensor, Rc<Cell<usize>>);

    impl Encoder for Ids {
        fn encode(&self, packed: &Packed) -> Result<Tensor, TchError> {
            self.1.set(self.1.get() + 1);
            let ids: Vec<f32> = packed.ids.iter().flat_map(|id| [*id as f32, 1.0]).collect();
            Tensor::f_from_slice(&ids)?.f_reshape([-1, 2])
        }
        fn words(&self) -> &Tensor {
            &self.0
        }
    }

    #[test]
    fn all_outputs_of_a_text_come_from_one_run_of_the_encoder() {
        let runs = Rc::new(Cell::new(0));
        let encoder = Box::new(Ids(Tensor::from_slice(&[0_f32]), Rc::clone(&runs)));
        let linear = Linear { weight: Tensor::from_slice(&[0.5_f32, 0.0]).reshape([1, 2]), bias: None };
        let heads = M3 {
            weights: Some(TokenWeights { linear, without: HashSet::from([2, 3]) }),
            vectors: Some(TokenVectors { first: 1, steps: vec![Step::Normalize], ..TokenVectors::default() }),
        };
        let mut engine = TorchEngine::new(encoder, Pooling::new(vec![Mode::Cls]), Vec::new()).with(heads);
        let all = OutputSet::of([Output::Dense, Output::Sparse, Output::MultiVector]);
        assert_eq!(engine.outputs(), all);
        let packed = Packed::new(&[&[2, 8, 3], &[2, 6, 6, 3]]);
        let outputs = engine.pass(&packed, all).unwrap();
        assert_eq!(runs.get(), 1);
        assert_eq!(outputs.dense.unwrap(), [[2.0, 1.0], [2.0, 1.0]]);
        assert_eq!(outputs.sparse.unwrap(), [[(6, 3.0)], [(8, 4.0)]]);
        assert_eq!(outputs.multi_vector.unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        let outputs = engine.pass(&packed, OutputSet::of([Output::Sparse])).unwrap();
        assert!(outputs.dense.is_none() && outputs.multi_vector.is_none(), "only what is wanted is computed");
    }
}
