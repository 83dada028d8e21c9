//! The settings in a model's folder, and the network that they describe: one file per family.

mod attention;
mod builder;
pub mod engine;
pub mod entities;
mod families;
pub mod family;
pub mod heads;
pub mod late;
mod layers;
pub mod m3;
mod network;
pub mod pipeline;
pub mod pooling;
mod rotary;
pub mod settings;
pub mod steps;
pub mod tokens;
pub mod weights;

use tch::{TchError, Tensor};

use crate::batch::Packed;

/// A network that computes one vector per token.
pub trait Encoder {
    /// The last hidden state, one row per token of the batch.
    fn encode(&self, packed: &Packed) -> Result<Tensor, TchError>;

    /// The table of words, `[vocabulary, size]`. Heads that predict words share it.
    fn words(&self) -> &Tensor;
}
