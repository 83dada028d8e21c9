//! Takes a network out of the weights, tensor by tensor, and notices what is left.

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use tch::{Kind, Tensor};

use super::layers::{Linear, Norm, TorchResult};
use super::weights::Weights;
use crate::device::one_line;
use crate::failure::{Result, failure};

/// Beginnings of names, after the encoder's prefix or a part of it, that no encoder needs: poolers, and the heads of
/// other tasks. transformers leaves them out as well when it loads an encoder.
const HEADS: &[&str] = &[
    "pooler",
    "cls",
    "lm_head",
    "classifier",
    "pre_classifier",
    "qa_outputs",
    "head",
    "decoder",
    "score",
    "predictions",
    "sop_classifier",
    "discriminator_predictions",
    "generator_predictions",
    "generator_lm_head",
    "sequence_summary",
    "vocab_transform",
    "vocab_layer_norm",
    "vocab_projector",
    "lm_predictions",
    "mask_predictions",
];

/// Ends of names of buffers that are computed from config.json.
const BUFFERS: &[&str] = &["position_ids", "inv_freq", "token_type_ids"];

/// Whether a linear layer adds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    Yes,
    No,
}

impl From<bool> for Bias {
    fn from(bias: bool) -> Self {
        if bias { Self::Yes } else { Self::No }
    }
}

/// The table of words, for a head.
#[derive(Clone, Copy)]
pub(super) struct Tied<'a> {
    /// `[vocabulary, size]`.
    pub(super) table: &'a Tensor,
    /// Whether the head shares it.
    pub(super) tied: bool,
}

/// The weights, seen from one place in the tree of their names.
pub(super) struct Builder<'a> {
    weights: &'a mut Weights,
    /// What stands before the names: empty, or ending with a dot.
    prefix: String,
}

impl<'a> Builder<'a> {
    /// Finds the encoder by a tensor that every model of its family has, and that stands at its root. Its prefix is
    /// whatever stands before.
    pub(super) fn find(weights: &'a mut Weights, marker: &str) -> Result<Self> {
        let mut prefixes: Vec<String> = weights
            .names()
            .filter_map(|name| name.strip_suffix(marker))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .map(str::to_owned)
            .collect();
        prefixes.sort();
        match prefixes.as_slice() {
            [] => Err(weights.mismatch(format!("tensor {marker} is missing, with any prefix"))),
            [_] => Ok(Self { weights, prefix: prefixes.remove(0) }),
            [first, second, ..] => {
                let why = format!("there are two encoders, {first}{marker} and {second}{marker}; one is supported");
                Err(weights.unsupported(why))
            }
        }
    }

    /// The same weights, seen from a place below.
    pub(super) fn at(&mut self, place: &str) -> Builder<'_> {
        Builder { prefix: format!("{}{place}.", self.prefix), weights: self.weights }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.weights.has(&format!("{}{name}", self.prefix))
    }

    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.weights.take(&format!("{}{name}", self.prefix), shape)
    }

    /// A linear layer from `input` to `out` dimensions.
    pub(super) fn linear(&mut self, name: &str, (out, input): (usize, usize), bias: Bias) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[out, input])?;
        let bias = match bias {
            Bias::Yes => Some(self.tensor(&format!("{name}.bias"), &[out])?),
            Bias::No => None,
        };
        Ok(Linear { weight, bias })
    }

    /// Linear layers of one input, as one: their outputs stand side by side.
    pub(super) fn joined(&mut self, parts: &[(&str, usize)], input: usize, bias: Bias) -> Result<Linear> {
        let parts = parts.iter().map(|(name, out)| self.linear(name, (*out, input), bias));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let weights: Vec<_> = parts.iter().map(|part| &part.weight).collect();
        let biases: Vec<_> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        Ok(Linear {
            weight: fits(Tensor::f_cat(&weights, 0))?,
            bias: if biases.is_empty() { None } else { Some(fits(Tensor::f_cat(&biases, 0))?) },
        })
    }

    /// A linear layer whose second half is a gate; [`crate::model::layers::Mlp`] wants the gate first.
    pub(super) fn up_gate(&mut self, name: &str, shape: (usize, usize), bias: Bias) -> Result<Linear> {
        let linear = self.linear(name, shape, bias)?;
        let swapped = |x: &Tensor| x.f_roll([shape.0 as i64 / 2].as_slice(), [0].as_slice());
        Ok(Linear {
            weight: fits(swapped(&linear.weight))?,
            bias: fits(linear.bias.as_ref().map(swapped).transpose())?,
        })
    }

    /// Takes a tensor that no network needs.
    pub(super) fn drop(&mut self, name: &str) {
        self.weights.drop(&format!("{}{name}", self.prefix));
    }

    /// A norm of `size` dimensions. Old checkpoints call weight and bias gamma and beta.
    pub(super) fn layer_norm(&mut self, name: &str, size: usize, eps: f64, bias: Bias) -> Result<Norm> {
        let old = self.has(&format!("{name}.gamma"));
        let (scale, shift) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        let weight = self.tensor(&format!("{name}.{scale}"), &[size])?;
        let bias = match bias {
            Bias::Yes => Some(self.tensor(&format!("{name}.{shift}"), &[size])?),
            Bias::No => None,
        };
        Ok(Norm::Layer { weight, bias, eps })
    }

    /// A norm without a mean, whose weight is `add` more than the file says.
    pub(super) fn root_mean_square(&mut self, name: &str, size: usize, eps: f64, add: f64) -> Result<Norm> {
        let weight = self.tensor(&format!("{name}.weight"), &[size])?;
        let weight = fits(weight.f_to_kind(Kind::Float).and_then(|weight| weight.f_add_scalar(add)))?;
        Ok(Norm::RootMeanSquare { weight, eps })
    }

    /// The place of the heads: one above the encoder's root.
    pub(super) fn above(&mut self) -> Builder<'_> {
        let inner = self.prefix.strip_suffix('.').unwrap_or_default();
        let prefix = inner.rfind('.').map_or("", |dot| &inner[..=dot]).to_owned();
        Builder { weights: self.weights, prefix }
    }

    /// The last layer of a head that predicts words. Its weight is the table of words and its bias `bias`, unless the
    /// file has tensors of its own for them; so transformers ties weights.
    pub(super) fn decoder(&mut self, name: &str, words: Tied<'_>, bias: Option<&str>) -> Result<Linear> {
        let size = words.table.size();
        let shape = [size[0] as usize, size[1] as usize];
        let (weight, own) = (format!("{name}.weight"), format!("{name}.bias"));
        let weight =
            if words.tied && !self.has(&weight) { words.table.shallow_clone() } else { self.tensor(&weight, &shape)? };
        let bias = match bias {
            None => None,
            Some(shared) if words.tied && !self.has(&own) => Some(self.tensor(shared, &shape[..1])?),
            Some(shared) => {
                let bias = self.tensor(&own, &shape[..1])?;
                // The reference has a tensor of this name, and computes nothing from it.
                self.drop(shared);
                Some(bias)
            }
        };
        Ok(Linear { weight, bias })
    }

    /// The failure of weights that config.json can't describe.
    pub(super) fn unsupported(&self, why: impl std::fmt::Display) -> LoadFailure {
        self.weights.unsupported(why)
    }

    /// Refuses the model if a tensor is left that might belong to a network: then config.json describes another one.
    pub(super) fn finish(self) -> Result<()> {
        let mut left: Vec<&str> = self.weights.names().filter(|name| !harmless(name, &self.prefix)).collect();
        left.sort_unstable();
        match left.as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                Err(self.weights.unsupported(format!("tensor {first}{more}: no part of the network of config.json")))
            }
        }
    }
}

/// Whether an encoder at this prefix computes the same without this tensor.
fn harmless(name: &str, prefix: &str) -> bool {
    let buffer = name.rsplit('.').next().is_some_and(|last| BUFFERS.contains(&last));
    let common: usize = name
        .split_inclusive('.')
        .zip(prefix.split_inclusive('.'))
        .take_while(|(name, prefix)| name == prefix)
        .map(|(name, _)| name.len())
        .sum();
    let root = name[common..].split('.').next().unwrap_or_default();
    buffer || HEADS.contains(&root)
}

/// Joining or changing tensors whose shapes are known to fit can fail only if memory runs out.
pub(super) fn fits<T>(result: TorchResult<T>) -> Result<T> {
    result.map_err(|error| failure(Reason::OutOfMemory, format!("weights: {}", one_line(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_buffers_may_be_left_and_parts_of_an_encoder_may_not() {
        for (name, prefix) in [
            ("pooler.dense.weight", ""),
            ("bert.pooler.dense.weight", "bert."),
            ("cls.predictions.bias", "bert."),
            ("model.cls.predictions.bias", "model.bert."),
            ("layers.0.self_attn.rotary_emb.inv_freq", ""),
        ] {
            assert!(harmless(name, prefix), "{name}");
        }
        for (name, prefix) in [
            ("bert.encoder.layer.7.output.dense.bias", "bert."),
            ("encoder.layer.7.output.dense.bias", ""),
            ("vision_model.head.weight", "text_model."),
            ("encoder.cls.weight", ""),
        ] {
            assert!(!harmless(name, prefix), "{name}");
        }
    }
}
