//! The seam between the lane and a model: what a forward pass takes, and what it gives.

mod output;

pub use self::output::{Output, OutputSet, Outputs, Row};
use crate::batch::Packed;

/// A model that can be run. It lives and dies on the lane's thread.
pub trait Engine {
    /// The outputs that the model has.
    fn outputs(&self) -> OutputSet;

    /// Runs one batch for outputs that the model has: for each of them one row a text, in the order of `packed.order`.
    /// For implementations; callers use [`Engine::pass`].
    fn forward(&mut self, packed: &Packed, wanted: OutputSet) -> Result<Outputs, EngineError>;

    /// Runs one batch, and checks that the model has what is wanted and gave one row a text of it. Numbers that are not
    /// finite are left to [`Outputs::take`], so that they fail one text and not all.
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
        /// Rows that came.
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
