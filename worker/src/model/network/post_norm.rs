//! Encoders of BERT's kind: each half of a block is added to its input, and the sum is normed.

use tch::Tensor;

use super::embeddings::Embeddings;
use crate::batch::Packed;
use crate::model::Encoder;
use crate::model::attention::{Pattern, SelfAttention};
use crate::model::layers::{Mlp, Norm, TorchResult};

/// A block.
pub(in crate::model) struct Block {
    pub(in crate::model) attention: SelfAttention,
    pub(in crate::model) attention_norm: Norm,
    /// A norm of the sum of the block's input and of what the norm above gives.
    pub(in crate::model) second_norm: Option<Norm>,
    pub(in crate::model) mlp: Mlp,
    pub(in crate::model) norm: Norm,
}

/// The network.
pub(in crate::model) struct PostNorm {
    pub(in crate::model) embeddings: Embeddings,
    pub(in crate::model) blocks: Vec<Block>,
    /// Indices of `blocks` in the order in which they run. ALBERT runs a block many times.
    pub(in crate::model) order: Vec<usize>,
    pub(in crate::model) pattern: Pattern,
}

impl Encoder for PostNorm {
    fn encode(&self, packed: &Packed) -> TorchResult<Tensor> {
        let device = self.embeddings.words.device();
        let mut x = self.embeddings.forward(packed, device)?;
        let positions = Tensor::f_from_slice(&packed.positions)?.f_to_device(device)?;
        let scene = self.pattern.scene(packed, &positions, x.kind())?;
        for block in self.order.iter().map(|index| &self.blocks[*index]) {
            let mut seen = block.attention_norm.forward(&block.attention.forward(&x, &scene)?.f_add_(&x)?)?;
            if let Some(norm) = &block.second_norm {
                seen = norm.forward(&seen.f_add_(&x)?)?;
            }
            x = seen;
            x = block.norm.forward(&block.mlp.forward(&x)?.f_add_(&x)?)?;
        }
        Ok(x)
    }

    fn words(&self) -> &Tensor {
        &self.embeddings.words
    }
}
