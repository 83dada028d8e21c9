//! The interface between the lane and a model: the input and the outputs of a forward pass.

mod output;

pub use self::output::{Output, OutputSet, Outputs, Row};
use crate::batch::Packed;

/// A model that can run. The lane's thread creates it and drops it.
pub trait Engine {
    /// The outputs that the model has.
    fn outputs(&self) -> OutputSet;

    /// Runs one batch for outputs that the model has. Each output gets one row per text, in the order of
    /// `packed.order`. Implementations provide this method; callers use [`Engine::pass`].
    fn forward(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError>;

    /// Runs one batch. Checks that the model has each wanted output, and gave one row per text for it.
    /// [`Outputs::take`] checks that numbers are finite, so that a bad number fails one text and not all.
    fn pass(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError> {
        wanted.all_in(self.outputs())?;
        let outputs = self.forward(packed, wanted)?;
        outputs.check(wanted, packed.texts())?;
        Ok(outputs)
    }
}

/// A pass that failed. It fails the requests of its batch, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The model does not have an output that was asked for.
    #[error("the model has no {0} output")]
    NoSuchOutput(Output),
    /// An output has more or fewer rows than the batch has texts.
    #[error("{rows} {output} rows for {texts} texts")]
    Rows {
        /// The output at fault.
        output: Output,
        /// Rows of the output.
        rows: usize,
        /// Texts of the batch.
        texts: usize,
    },
    /// The engine's code panicked; the log says where.
    #[error("the engine panicked")]
    Panicked,
    /// The library below the engine failed, with its message in one line.
    #[error("{0}")]
    Failed(String),
}
