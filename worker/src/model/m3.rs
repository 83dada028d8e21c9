//! The heads that FlagEmbedding keeps beside a network, in files of their own: weights of a text's words, and vectors of its
//! tokens. BGE-M3 has both beside its dense vectors (<https://arxiv.org/abs/2402.03216>).
//!
//! The formulas are those of FlagEmbedding's `BGEM3FlagModel` with its defaults. A word weighs `relu(sparse_linear(hidden))`, the
//! largest of its tokens; cls, eos, pad and unk weigh nothing. A token's vector is `colbert_linear(hidden)`, brought to length 1;
//! the first token has none.

use std::collections::BTreeMap;

use belfry_crds::contract::load_failure::LoadFailureReason as Reason;
use tch::{Kind, Tensor};

use super::layers::Linear;
use super::steps::{Activation, Residual, Step};
use super::tokens::{TokenVectors, TokenWeights};
use super::weights::Weights;
use crate::device::{Device, one_line};
use crate::failure::{Result, failure};
use crate::folder::Folder;

/// Weights of words.
const SPARSE: &str = "sparse_linear.safetensors";

/// Vectors of tokens.
const COLBERT: &str = "colbert_linear.safetensors";

/// The files of both heads.
pub const FILES: [&str; 2] = [SPARSE, COLBERT];

/// Settings with the special tokens whose words weigh nothing.
const WEIGHTLESS: [&str; 4] = ["cls_token", "eos_token", "pad_token", "unk_token"];

/// The heads of a folder.
#[derive(Default)]
pub struct M3 {
    pub(super) weights: Option<TokenWeights>,
    pub(super) vectors: Option<TokenVectors>,
}

/// The heads' files that a network's folder has.
pub fn files(place: &Folder) -> impl Iterator<Item = &'static str> {
    FILES.into_iter().filter(|name| place.has(name))
}

/// Whether a network's folder has weights of words.
pub fn weighs_words(place: &Folder) -> bool {
    place.has(SPARSE)
}

/// Says in the log which heads are left out because only pickled files hold them.
pub fn warn_of_pickles(shown: &str, has: impl Fn(&str) -> bool) {
    for name in FILES {
        let pickle = name.replace(".safetensors", ".pt");
        if has(&pickle) && !has(name) {
            tracing::warn!(
                folder = shown,
                pickle,
                "A head is left out: unpickling runs code, so only {name} is read; docs/models.md says how to convert it"
            );
        }
    }
}

impl M3 {
    /// Reads the heads that the folder has. `hidden` is the length of the encoder's vectors; `special` has the ids of the tokens
    /// that settings such as `cls_token` name.
    pub fn read(place: &Folder, hidden: usize, device: &Device, special: &BTreeMap<&str, u32>) -> Result<Self> {
        warn_of_pickles(&place.path(""), |name| place.has(name));
        let mut heads = Self::default();
        if place.has(SPARSE) {
            let linear = linear(place, SPARSE, device, (|_| 1, hidden))?;
            let without =
                WEIGHTLESS.iter().filter_map(|setting| special.get(setting)).map(|id| i64::from(*id)).collect();
            heads.weights = Some(TokenWeights { linear, without });
        }
        if place.has(COLBERT) {
            let Linear { weight, bias } = linear(place, COLBERT, device, (|weights| weights.rows("weight"), hidden))?;
            let dense = Step::Dense { weight, bias, activation: Activation::Identity, residual: Residual::None };
            heads.vectors =
                Some(TokenVectors { first: 1, steps: vec![dense, Step::Normalize], ..TokenVectors::default() });
        }
        Ok(heads)
    }
}

/// The linear layer of a file, in 32-bit floats; `out` gives the number of its outputs.
fn linear(
    place: &Folder,
    name: &str,
    device: &Device,
    (out, hidden): (fn(&Weights) -> usize, usize),
) -> Result<Linear> {
    let mut weights = Weights::file(place, name, device)?;
    let out = out(&weights);
    let float = |tensor: Tensor| {
        let failed = |error| failure(Reason::OutOfMemory, format!("{}: {}", place.path(name), one_line(&error)));
        tensor.f_to_kind(Kind::Float).map_err(failed)
    };
    let weight = float(weights.take("weight", &[out, hidden])?)?;
    let bias = float(weights.take("bias", &[out])?)?;
    match weights.names().next() {
        Some(left) => {
            Err(weights.unsupported(format!("tensor {left}: the head has a weight and a bias, and nothing else")))
        }
        None => Ok(Linear { weight, bias: Some(bias) }),
    }
}
