//! Model families: one file for each, and one `match`.

mod bert;
pub mod config;
pub mod engine;
pub mod pipeline;
pub mod pooling;
pub mod weights;

use tch::{TchError, Tensor};

use self::config::Config;
use self::weights::Weights;
use crate::batch::Packed;
use crate::failure::{Result, failure};

/// Architectures that [`build`] knows, as config.json names them.
pub const SUPPORTED: &[&str] = &["BertModel", "BertForMaskedLM", "BertForPreTraining"];

/// A network that turns tokens into one vector each.
pub trait Encoder {
    /// The last hidden state, one row for each token of the batch.
    fn encode(&self, packed: &Packed) -> std::result::Result<Tensor, TchError>;

    /// Memory of the weights.
    fn bytes(&self) -> usize;
}

/// Builds the family that config.json names.
pub fn build(config: &Config, weights: &mut Weights) -> Result<Box<dyn Encoder>> {
    // Every supported architecture is of one family so far; the next one adds an arm.
    match config.architecture() {
        _ if SUPPORTED.contains(&config.architecture()) => Ok(Box::new(bert::Bert::new(config, weights)?)),
        other => Err(failure(
            belfry_crds::contract::load_failure::LoadFailureReason::UnsupportedArchitecture,
            format!("architecture {other} is not supported"),
        )),
    }
}
