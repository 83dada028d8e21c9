//! The settings in a model's folder, and the network that they describe: one file per family.

mod bert;
pub mod engine;
pub mod family;
pub mod pipeline;
pub mod pooling;
pub mod weights;

use tch::{TchError, Tensor};

use crate::batch::Packed;

/// A network that computes one vector per token.
pub trait Encoder {
    /// The last hidden state, one row per token of the batch.
    fn encode(&self, packed: &Packed) -> Result<Tensor, TchError>;

    /// Memory of the weights, in bytes.
    fn bytes(&self) -> usize;
}
