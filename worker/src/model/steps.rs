//! What sentence-transformers does with a text's vector after pooling, in 32-bit floats.

use belfry_crds::contract::load_failure::LoadFailureReason as Reason;
use serde::Deserialize;
use tch::{Kind, TchError, Tensor};

use super::settings::{self, Setting};
use super::weights::Weights;
use crate::device::Device;
use crate::failure::{Result, failure};
use crate::folder::Folder;

const CONFIG: &str = "config.json";

/// Smallest length that a vector is divided by (`torch.nn.functional.normalize`).
const NORMALIZE_EPS: f64 = 1e-12;

/// What `torch.nn.LayerNorm` adds to the variance.
const LAYER_NORM_EPS: f64 = 1e-5;

/// A function of a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Identity,
    Tanh,
    Relu,
    Gelu,
    Sigmoid,
    Silu,
}

impl Activation {
    /// By the path of its class. sentence-transformers imports only what begins with `torch.`.
    fn named(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("torch.")?.rsplit('.').next()? {
            "Identity" => Self::Identity,
            "Tanh" => Self::Tanh,
            "ReLU" => Self::Relu,
            "GELU" => Self::Gelu,
            "Sigmoid" => Self::Sigmoid,
            "SiLU" => Self::Silu,
            _ => return None,
        })
    }

    fn apply(self, x: &Tensor) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Identity => Ok(x.shallow_clone()),
            Self::Tanh => x.f_tanh(),
            Self::Relu => x.f_relu(),
            Self::Gelu => x.f_gelu("none"),
            Self::Sigmoid => x.f_sigmoid(),
            Self::Silu => x.f_silu(),
        }
    }
}

/// The settings of a step.
#[derive(Clone, Debug)]
pub enum StepConfig {
    /// A linear layer with an activation.
    Dense(DenseConfig),
    /// A layer norm over a vector of this length.
    LayerNorm(usize),
    /// Vectors are brought to length 1.
    Normalize,
}

/// `config.json` of a Dense module.
#[derive(Clone, Debug, Deserialize)]
pub struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
    #[serde(default)]
    use_residual: bool,
}

fn yes() -> bool {
    true
}

fn tanh() -> String {
    "torch.nn.modules.activation.Tanh".to_owned()
}

#[derive(Deserialize)]
struct LayerNormConfig {
    dimension: usize,
}

impl StepConfig {
    /// Reads a Dense module; `special` has the settings that are treated otherwise than usually.
    pub(super) fn dense(place: &Folder, special: &[Setting]) -> Result<Self> {
        settings::check_in(place, CONFIG, &[special, settings::DENSE])?;
        let config: DenseConfig = place.json(CONFIG)?;
        if Activation::named(&config.activation_function).is_none() {
            let why = format!(
                "activation_function {} is not supported; supported are Identity, Tanh, ReLU, GELU, Sigmoid and SiLU of torch.nn.modules",
                config.activation_function
            );
            return Err(place.unsupported(CONFIG, why));
        }
        Ok(Self::Dense(config))
    }

    pub(super) fn layer_norm(place: &Folder) -> Result<Self> {
        settings::check(place, CONFIG, settings::LAYER_NORM)?;
        let config: LayerNormConfig = place.json(CONFIG)?;
        Ok(Self::LayerNorm(config.dimension))
    }

    /// Whether the step has tensors, in model.safetensors of its folder.
    pub fn has_weights(&self) -> bool {
        !matches!(self, Self::Normalize)
    }

    /// Reads the step's tensors, if it has any.
    pub fn weights(&self, place: &Folder, device: &Device) -> Result<Option<Weights>> {
        if self.has_weights() { Weights::read(place, device).map(Some) } else { Ok(None) }
    }

    /// Takes the step's tensors. `width` is the length of the vectors that it gets; returned is that of those that it gives.
    pub(crate) fn build(&self, place: &Folder, width: usize, weights: Option<Weights>) -> Result<(Step, usize)> {
        let misfit = |wanted: usize| {
            let message = format!("{}: the step takes vectors of {wanted} values and gets {width}", place.path(CONFIG));
            failure(Reason::WeightsMismatch, message)
        };
        let lacking = || failure(Reason::WeightsMismatch, format!("{}: the step has no weights", place.path("")));
        match self {
            Self::Normalize => Ok((Step::Normalize, width)),
            Self::LayerNorm(dimension) if *dimension != width => Err(misfit(*dimension)),
            Self::LayerNorm(_) => {
                let mut weights = weights.ok_or_else(lacking)?;
                let (weight, bias) = (weights.take("norm.weight", &[width])?, weights.take("norm.bias", &[width])?);
                Ok((Step::LayerNorm { weight: float(weight)?, bias: float(bias)? }, width))
            }
            Self::Dense(config) if config.in_features != width => Err(misfit(config.in_features)),
            Self::Dense(config) => {
                let mut weights = weights.ok_or_else(lacking)?;
                let out = config.out_features;
                let weight = float(weights.take("linear.weight", &[out, width])?)?;
                let bias = config.bias.then(|| weights.take("linear.bias", &[out]).and_then(float)).transpose()?;
                let residual = match (config.use_residual, out == width) {
                    (false, _) => Residual::None,
                    (true, true) => Residual::Same,
                    (true, false) => Residual::Projected(float(weights.take("residual.weight", &[out, width])?)?),
                };
                let activation = Activation::named(&config.activation_function).unwrap_or(Activation::Identity);
                Ok((Step::Dense { weight, bias, activation, residual }, out))
            }
        }
    }
}

fn float(tensor: Tensor) -> Result<Tensor> {
    tensor.f_to_kind(Kind::Float).map_err(|error| failure(Reason::OutOfMemory, format!("weights: {error}")))
}

/// What is added to a Dense step's result.
#[derive(Debug)]
pub(crate) enum Residual {
    None,
    /// The step's input.
    Same,
    /// The step's input, brought to the length of its output.
    Projected(Tensor),
}

/// A step with its tensors.
#[derive(Debug)]
pub(crate) enum Step {
    Dense { weight: Tensor, bias: Option<Tensor>, activation: Activation, residual: Residual },
    LayerNorm { weight: Tensor, bias: Tensor },
    Normalize,
}

impl Step {
    /// A linear layer alone, in 32-bit floats; the weight is `[out, in]`.
    pub(crate) fn linear(weight: Tensor, bias: Option<Tensor>) -> std::result::Result<Self, TchError> {
        let weight = weight.f_to_kind(Kind::Float)?;
        let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
        Ok(Self::Dense { weight, bias, activation: Activation::Identity, residual: Residual::None })
    }

    /// From `[texts, width]` to `[texts, width of the step]`.
    pub(crate) fn apply(&self, x: &Tensor) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Dense { weight, bias, activation, residual } => {
                let out = activation.apply(&x.f_linear(weight, bias.as_ref())?)?;
                match residual {
                    Residual::None => Ok(out),
                    Residual::Same => out.f_add(x),
                    Residual::Projected(weight) => out.f_add(&x.f_linear(weight, None::<&Tensor>)?),
                }
            }
            Self::LayerNorm { weight, bias } => {
                x.f_layer_norm(weight.size(), Some(weight), Some(bias), LAYER_NORM_EPS, false)
            }
            Self::Normalize => {
                let length = x.f_square()?.f_sum_dim_intlist([1].as_ref(), true, Kind::Float)?.f_sqrt()?;
                x.f_div(&length.f_clamp_min(NORMALIZE_EPS)?)
            }
        }
    }
}
