//! What a model folder says, and the network that it describes: one file for each family.

mod bert;
pub mod engine;
pub mod family;
pub mod pipeline;
pub mod pooling;
pub mod weights;

use tch::{TchError, Tensor};

use crate::batch::Packed;

/// A network that turns tokens into one vector each.
pub trait Encoder {
    /// The last hidden state, one row for each token of the batch.
    fn encode(&self, packed: &Packed) -> Result<Tensor, TchError>;

    /// Memory of the weights, in bytes.
    fn bytes(&self) -> usize;
}
