//! Networks whose blocks norm their input, and add the result to what they got.

use tch::Tensor;

use crate::batch::Packed;
use crate::model::Encoder;
use crate::model::attention::{Pattern, SelfAttention};
use crate::model::layers::{Mlp, Norm, TorchResult};

/// A block. Norms that a family lacks are `None`.
pub(in crate::model) struct Block {
    pub(in crate::model) before_attention: Option<Norm>,
    pub(in crate::model) attention: SelfAttention,
    pub(in crate::model) after_attention: Option<Norm>,
    pub(in crate::model) before_mlp: Option<Norm>,
    pub(in crate::model) mlp: Mlp,
    pub(in crate::model) after_mlp: Option<Norm>,
    /// Index of its pattern.
    pub(in crate::model) pattern: usize,
}

/// The network.
pub(in crate::model) struct PreNorm {
    /// `[vocabulary, hidden]`.
    pub(in crate::model) words: Tensor,
    /// What the words are multiplied with.
    pub(in crate::model) scale: Option<f64>,
    /// The norm of the words.
    pub(in crate::model) first: Option<Norm>,
    pub(in crate::model) blocks: Vec<Block>,
    pub(in crate::model) last: Norm,
    pub(in crate::model) patterns: Vec<Pattern>,
}

fn normed(norm: Option<&Norm>, x: &Tensor) -> TorchResult<Tensor> {
    norm.map_or_else(|| Ok(x.shallow_clone()), |norm| norm.forward(x))
}

impl Encoder for PreNorm {
    fn encode(&self, packed: &Packed) -> TorchResult<Tensor> {
        let rows = |rows: &[i64]| Tensor::f_from_slice(rows)?.f_to_device(self.words.device());
        let mut x = self.words.f_index_select(0, &rows(&packed.ids)?)?;
        if let Some(scale) = self.scale {
            // The factor has the type of the weights, because the reference rounds it so.
            x = x.f_mul_(&Tensor::f_from_slice(&[scale])?.f_to_kind(x.kind())?.f_to_device(x.device())?)?;
        }
        x = normed(self.first.as_ref(), &x)?;
        let positions = rows(&packed.positions)?;
        let scenes = self.patterns.iter().map(|pattern| pattern.scene(packed, &positions, x.kind()));
        let scenes = scenes.collect::<TorchResult<Vec<_>>>()?;
        for block in &self.blocks {
            let seen = normed(block.before_attention.as_ref(), &x)?;
            let context = block.attention.forward(&seen, &scenes[block.pattern])?;
            x = normed(block.after_attention.as_ref(), &context)?.f_add(&x)?;
            let seen = normed(block.before_mlp.as_ref(), &x)?;
            x = normed(block.after_mlp.as_ref(), &block.mlp.forward(&seen)?)?.f_add(&x)?;
        }
        self.last.forward(&x)
    }

    fn words(&self) -> &Tensor {
        &self.words
    }
}
