//! The engine that runs an encoder, and what follows it, on libtorch.

use tch::{Kind, TchError, Tensor};

use super::Encoder;
use super::heads::{SequenceHead, VocabularyHead, WordPooling, WordWeight};
use super::pooling::Pooling;
use super::steps::Step;
use crate::batch::Packed;
use crate::device::one_line;
use crate::engine::{Engine, EngineError, Output, OutputSet, Outputs};

/// An encoder with what follows it. Belongs to the thread that made it.
pub struct TorchEngine {
    encoder: Box<dyn Encoder>,
    /// Makes one vector per text.
    dense: Option<(Pooling, Vec<Step>)>,
    /// Makes one number per label.
    sequence: Option<SequenceHead>,
    /// Makes one weight per word of the vocabulary.
    words: Option<(VocabularyHead, WordPooling, WordWeight)>,
}

impl TorchEngine {
    /// An engine of this encoder, this pooling, and the steps after it.
    pub(crate) fn new(encoder: Box<dyn Encoder>, pooling: Pooling, steps: Vec<Step>) -> Self {
        Self { encoder, dense: Some((pooling, steps)), sequence: None, words: None }
    }

    /// An engine that classifies or scores texts.
    pub fn of_sequence(encoder: Box<dyn Encoder>, head: SequenceHead) -> Self {
        Self { encoder, dense: None, sequence: Some(head), words: None }
    }

    /// An engine that weighs words.
    pub fn of_words(encoder: Box<dyn Encoder>, head: VocabularyHead, pooling: WordPooling, weight: WordWeight) -> Self {
        Self { encoder, dense: None, sequence: None, words: Some((head, pooling, weight)) }
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
        if self.dense.is_some() && wanted.has(Output::MultiVector) {
            outputs.multi_vector = Some(by_text(rows(&hidden)?, packed));
        }
        if let Some(head) = self.sequence.as_ref().filter(|_| wanted.has(self.of_head())) {
            let logits = rows(&head.logits(&hidden, packed)?)?;
            if head.labels() == 1 {
                outputs.scores = Some(logits.into_iter().flatten().collect());
            } else {
                outputs.classes = Some(logits);
            }
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

/// The rows of `[rows, columns]`.
fn rows(values: &Tensor) -> Result<Vec<Vec<f32>>, TchError> {
    let values = values.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
    let (rows, columns) = values.size2()?;
    let mut copied = vec![0_f32; (rows * columns) as usize];
    values.f_contiguous()?.f_copy_data(&mut copied, (rows * columns) as usize)?;
    Ok(copied.chunks_exact(columns.max(1) as usize).map(<[f32]>::to_vec).collect())
}

/// The vectors of each text's tokens.
fn by_text(tokens: Vec<Vec<f32>>, packed: &Packed) -> Vec<Vec<Vec<f32>>> {
    let mut tokens = tokens.into_iter();
    let lengths = packed.runs.iter().flat_map(|run| (0..run.texts).map(|_| run.length as usize));
    lengths.map(|length| tokens.by_ref().take(length).collect()).collect()
}

/// The words with a weight. One that is not a number stays, so that it is noticed.
fn positive(row: &[f32]) -> Vec<(u32, f32)> {
    (0..).zip(row).filter(|(_, weight)| **weight != 0.0).map(|(word, weight)| (word, *weight)).collect()
}

impl Engine for TorchEngine {
    fn outputs(&self) -> OutputSet {
        let dense = self.dense.as_ref().map(|_| [Output::Dense, Output::MultiVector]);
        let sequence = self.sequence.as_ref().map(|_| self.of_head());
        let words = self.words.as_ref().map(|_| Output::Sparse);
        OutputSet::of(dense.into_iter().flatten().chain(sequence).chain(words))
    }

    fn forward(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError> {
        self.compute(packed, wanted).map_err(|error| EngineError::Failed(one_line(&error)))
    }
}
