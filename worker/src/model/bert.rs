//! BERT encoders, on packed batches: linear layers see all tokens at once, attention each run of equal length.

mod config;

use belfry_crds::contract::load_failure::LoadFailureReason as Reason;
use tch::{TchError, Tensor};

pub(super) use self::config::{ARCHITECTURES, Config};
use super::Encoder;
use super::weights::Weights;
use crate::batch::{Packed, Run};
use crate::device::one_line;
use crate::failure::{Result, failure};

type TorchResult<T> = std::result::Result<T, TchError>;

/// Prefixes of the encoder's tensors; models with a head have one.
const PREFIXES: &[&str] = &["", "bert."];

/// A linear layer.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> TorchResult<Tensor> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

/// A layer norm over the hidden dimension.
struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> TorchResult<Tensor> {
        x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, false)
    }
}

#[derive(Clone, Copy, Debug)]
enum Activation {
    Gelu,
    GeluTanh,
    Relu,
}

impl Activation {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => return None,
        })
    }

    fn apply(self, mut x: Tensor) -> TorchResult<Tensor> {
        match self {
            Self::Gelu => x.f_gelu_("none"),
            Self::GeluTanh => x.f_gelu_("tanh"),
            Self::Relu => x.f_relu_(),
        }
    }
}

struct Layer {
    /// Query, key and value in one.
    qkv: Linear,
    attention_out: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

/// The encoder of a BERT model.
pub(super) struct Bert {
    words: Tensor,
    /// Position embeddings from a text's first token on, with the embedding of token type 0 added: no text has a second
    /// segment.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    heads: i64,
    hidden: i64,
    activation: Activation,
    bytes: usize,
}

impl Bert {
    pub(super) fn new(config: &Config, weights: &mut Weights) -> Result<Self> {
        let activation = Activation::named(&config.hidden_act).ok_or_else(|| {
            let message = format!(
                "config.json: hidden_act {} is not supported; supported are gelu, gelu_new and relu",
                config.hidden_act
            );
            failure(Reason::UnsupportedArchitecture, message)
        })?;
        let mut builder = Builder::new(config, weights);
        let words = builder.take("embeddings.word_embeddings.weight", &[config.vocab_size, config.hidden_size])?;
        let positions = builder.positions()?;
        let norm = builder.norm("embeddings.LayerNorm")?;
        let layers = (0..config.num_hidden_layers).map(|i| builder.layer(i)).collect::<Result<Vec<_>>>()?;
        let bytes = builder.bytes;
        let (heads, hidden) = (config.num_attention_heads as i64, config.hidden_size as i64);
        Ok(Self { words, positions, norm, layers, heads, hidden, activation, bytes })
    }

    fn layer(&self, layer: &Layer, x: &Tensor, runs: &[Run]) -> TorchResult<Tensor> {
        let context = self.attention(&layer.qkv.forward(x)?, runs)?;
        let x = layer.attention_norm.forward(&layer.attention_out.forward(&context)?.f_add_(x)?)?;
        let inner = self.activation.apply(layer.up.forward(&x)?)?;
        layer.norm.forward(&layer.down.forward(&inner)?.f_add_(&x)?)
    }

    /// Attention inside each text. A run of equal length is one call, without a mask.
    fn attention(&self, qkv: &Tensor, runs: &[Run]) -> TorchResult<Tensor> {
        let (heads, size) = (self.heads, self.hidden / self.heads);
        let parts = runs.iter().map(|Run { offset, texts, length }| {
            let run = qkv.f_narrow(0, *offset, texts * length)?.f_view([*texts, *length, 3, heads, size])?;
            let run = run.f_permute([2, 0, 3, 1, 4])?;
            let (q, k, v) = (run.f_select(0, 0)?, run.f_select(0, 1)?, run.f_select(0, 2)?);
            let context = Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, false, None, false)?;
            context.f_transpose(1, 2)?.f_reshape([texts * length, self.hidden])
        });
        Tensor::f_cat(&parts.collect::<TorchResult<Vec<_>>>()?, 0)
    }
}

impl Encoder for Bert {
    fn encode(&self, packed: &Packed) -> TorchResult<Tensor> {
        let device = self.words.device();
        let ids = Tensor::f_from_slice(&packed.ids)?.f_to_device(device)?;
        let positions = Tensor::f_from_slice(&packed.positions)?.f_to_device(device)?;
        let words = self.words.f_index_select(0, &ids)?;
        let mut x = self.norm.forward(&words.f_add(&self.positions.f_index_select(0, &positions)?)?)?;
        for layer in &self.layers {
            x = self.layer(layer, &x, &packed.runs)?;
        }
        Ok(x)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Takes tensors out of the weights and counts their memory.
struct Builder<'a> {
    config: &'a Config,
    weights: &'a mut Weights,
    prefix: &'static str,
    bytes: usize,
}

impl<'a> Builder<'a> {
    fn new(config: &'a Config, weights: &'a mut Weights) -> Self {
        let found = |prefix: &&&str| weights.has(&format!("{prefix}embeddings.word_embeddings.weight"));
        let prefix = PREFIXES.iter().find(found).copied().unwrap_or_default();
        Self { config, weights, prefix, bytes: 0 }
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.weights.take(&format!("{}{name}", self.prefix), shape)?;
        self.bytes += tensor.numel() * tensor.kind().elt_size_in_bytes();
        Ok(tensor)
    }

    fn positions(&mut self) -> Result<Tensor> {
        let hidden = self.config.hidden_size;
        let table =
            self.take("embeddings.position_embeddings.weight", &[self.config.max_position_embeddings, hidden])?;
        let (first, most) = (self.config.first_position() as i64, self.config.max_tokens() as i64);
        let positions = joined(table.f_narrow(0, first, most))?;
        let name = format!("{}embeddings.token_type_embeddings.weight", self.prefix);
        if !self.weights.has(&name) {
            return Ok(positions);
        }
        let types = self.take("embeddings.token_type_embeddings.weight", &[2, hidden])?;
        joined(types.f_select(0, 0).and_then(|first| positions.f_add(&first)))
    }

    fn linear(&mut self, name: &str, (out, input): (usize, usize)) -> Result<Linear> {
        Ok(Linear {
            weight: self.take(&format!("{name}.weight"), &[out, input])?,
            bias: self.take(&format!("{name}.bias"), &[out])?,
        })
    }

    /// Old checkpoints call the two gamma and beta.
    fn norm(&mut self, name: &str) -> Result<Norm> {
        let old = self.weights.has(&format!("{}{name}.gamma", self.prefix));
        let (weight, bias) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        let shape = [self.config.hidden_size];
        Ok(Norm {
            weight: self.take(&format!("{name}.{weight}"), &shape)?,
            bias: self.take(&format!("{name}.{bias}"), &shape)?,
            eps: self.config.layer_norm_eps,
        })
    }

    fn layer(&mut self, index: usize) -> Result<Layer> {
        let (hidden, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let at = |name: &str| format!("encoder.layer.{index}.{name}");
        let parts =
            ["query", "key", "value"].map(|name| self.linear(&at(&format!("attention.self.{name}")), (hidden, hidden)));
        let [query, key, value] = parts;
        let (query, key, value) = (query?, key?, value?);
        Ok(Layer {
            qkv: Linear {
                weight: joined(Tensor::f_cat(&[query.weight, key.weight, value.weight], 0))?,
                bias: joined(Tensor::f_cat(&[query.bias, key.bias, value.bias], 0))?,
            },
            attention_out: self.linear(&at("attention.output.dense"), (hidden, hidden))?,
            attention_norm: self.norm(&at("attention.output.LayerNorm"))?,
            up: self.linear(&at("intermediate.dense"), (inner, hidden))?,
            down: self.linear(&at("output.dense"), (hidden, inner))?,
            norm: self.norm(&at("output.LayerNorm"))?,
        })
    }
}

/// Joining tensors whose shapes are known to fit can fail only if memory runs out.
fn joined(tensor: TorchResult<Tensor>) -> Result<Tensor> {
    tensor.map_err(|error| failure(Reason::OutOfMemory, format!("weights: {}", one_line(&error))))
}
