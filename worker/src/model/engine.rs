//! The engine that runs an encoder on libtorch.

use tch::TchError;

use super::Encoder;
use super::pooling::Pooling;
use super::steps::Step;
use crate::batch::Packed;
use crate::device::one_line;
use crate::engine::{Engine, EngineError, Output, OutputSet, Outputs};

/// An encoder with what follows it. Belongs to the thread that made it.
pub struct TorchEngine {
    encoder: Box<dyn Encoder>,
    pooling: Pooling,
    steps: Vec<Step>,
}

impl TorchEngine {
    /// An engine of this encoder, this pooling, and the steps after it.
    pub(crate) fn new(encoder: Box<dyn Encoder>, pooling: Pooling, steps: Vec<Step>) -> Self {
        Self { encoder, pooling, steps }
    }

    fn dense(&self, packed: &Packed) -> Result<Vec<Vec<f32>>, TchError> {
        let mut vectors = self.pooling.pool(&self.encoder.encode(packed)?, packed)?;
        for step in &self.steps {
            vectors = step.apply(&vectors)?;
        }
        let vectors = vectors.f_to_device(tch::Device::Cpu)?;
        let (rows, columns) = vectors.size2()?;
        let mut values = vec![0_f32; (rows * columns) as usize];
        vectors.f_contiguous()?.f_copy_data(&mut values, (rows * columns) as usize)?;
        Ok(values.chunks_exact(columns.max(1) as usize).map(<[f32]>::to_vec).collect())
    }
}

impl Engine for TorchEngine {
    fn outputs(&self) -> OutputSet {
        OutputSet::of([Output::Dense])
    }

    fn forward(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError> {
        let mut outputs = Outputs::default();
        if wanted.has(Output::Dense) {
            let rows = self.dense(packed).map_err(|error| EngineError::Failed(one_line(&error)))?;
            outputs.dense = Some(rows);
        }
        Ok(outputs)
    }
}
