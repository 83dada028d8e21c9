//! The seam between the lane and a model: what a forward pass takes, and what it gives.

use crate::batch::Packed;

/// A model that can be run. It lives and dies on the lane's thread.
pub trait Engine {
    /// One vector for each text, in the order of `packed.order`.
    fn forward(&mut self, packed: &Packed) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// A pass that failed. It fails the requests of its batch, and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);
