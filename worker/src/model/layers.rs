//! The layers that networks are made of.

use tch::{Kind, TchError, Tensor};

pub(super) type TorchResult<T> = Result<T, TchError>;

/// A linear layer; the weight has shape `[out, in]`.
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn forward(&self, x: &Tensor) -> TorchResult<Tensor> {
        x.f_linear(&self.weight, self.bias.as_ref())
    }
}

/// A norm over the last dimension.
pub(super) enum Norm {
    /// Subtracts the mean and divides by the standard deviation.
    Layer { weight: Tensor, bias: Option<Tensor>, eps: f64 },
    /// Divides by the root of the mean of squares. The weight is in 32-bit floats, and so is the computation.
    RootMeanSquare { weight: Tensor, eps: f64 },
}

impl Norm {
    pub(super) fn forward(&self, x: &Tensor) -> TorchResult<Tensor> {
        match self {
            Self::Layer { weight, bias, eps } => {
                x.f_layer_norm(weight.size(), Some(weight), bias.as_ref(), *eps, false)
            }
            Self::RootMeanSquare { weight, eps } => {
                let wide = x.f_to_kind(Kind::Float)?;
                let mean = wide.f_square()?.f_mean_dim([-1].as_slice(), true, Kind::Float)?;
                let mut scale = mean.f_add_scalar(*eps)?;
                wide.f_mul(&scale.f_rsqrt_()?)?.f_mul_(weight)?.f_to_kind(x.kind())
            }
        }
    }
}

/// The function between two linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    Gelu,
    GeluTanh,
    QuickGelu,
    LeakyRelu,
    Linear,
    Mish,
    Relu,
    Relu6,
    ReluSquared,
    Sigmoid,
    Silu,
    Tanh,
}

/// The names of transformers' table ACT2FN. Three of its formulas are the same up to rounding.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("leaky_relu", Activation::LeakyRelu),
    ("linear", Activation::Linear),
    ("mish", Activation::Mish),
    ("relu", Activation::Relu),
    ("relu2", Activation::ReluSquared),
    ("relu6", Activation::Relu6),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

impl Activation {
    /// The activation with this name in config.json. The error lists the names that are supported.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        ACTIVATIONS.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation).ok_or_else(|| {
            let names: Vec<_> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            format!("activation {name} is not supported; supported are {}", names.join(", "))
        })
    }

    /// Overwrites the tensor.
    pub(super) fn apply(self, mut x: Tensor) -> TorchResult<Tensor> {
        match self {
            Self::Gelu => x.f_gelu_("none"),
            Self::GeluTanh => x.f_gelu_("tanh"),
            Self::QuickGelu => {
                let gate = x.f_mul_scalar(1.702)?.f_sigmoid_()?;
                x.f_mul_(&gate)
            }
            Self::LeakyRelu => x.f_leaky_relu_(),
            Self::Linear => Ok(x),
            Self::Mish => x.f_mish_(),
            Self::Relu => x.f_relu_(),
            Self::Relu6 => x.f_relu6_(),
            Self::ReluSquared => x.f_relu_()?.f_square_(),
            Self::Sigmoid => x.f_sigmoid_(),
            Self::Silu => x.f_silu_(),
            Self::Tanh => x.f_tanh_(),
        }
    }
}

/// The part of a block that looks at one token alone.
pub(super) enum Mlp {
    /// `down(activation(up(x)))`.
    Plain { up: Linear, activation: Activation, down: Linear },
    /// `down(activation(gate(x)) * up(x))`; the first half of `gate_up` is the gate.
    Gated { gate_up: Linear, activation: Activation, down: Linear },
}

impl Mlp {
    pub(super) fn forward(&self, x: &Tensor) -> TorchResult<Tensor> {
        match self {
            Self::Plain { up, activation, down } => down.forward(&activation.apply(up.forward(x)?)?),
            Self::Gated { gate_up, activation, down } => {
                let both = gate_up.forward(x)?;
                let inner = both.size()[1] / 2;
                let gate = activation.apply(both.f_narrow(1, 0, inner)?.f_contiguous()?)?;
                down.forward(&gate.f_mul(&both.f_narrow(1, inner, inner)?)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(activation: &str, x: f32) -> f64 {
        Activation::named(activation).unwrap().apply(Tensor::from_slice(&[x])).unwrap().double_value(&[0])
    }

    #[test]
    fn each_activation_is_the_formula_of_its_name() {
        let x = 0.7_f64;
        let tanh = |x: f64| 0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh());
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (name, expected) in [
            ("gelu", 0.530_625_5),
            ("gelu_new", tanh(x)),
            ("gelu_fast", tanh(x)),
            ("quick_gelu", x * sigmoid(1.702 * x)),
            ("silu", x * sigmoid(x)),
            ("sigmoid", sigmoid(x)),
            ("tanh", x.tanh()),
            ("relu", x),
            ("relu6", x),
            ("relu2", x * x),
            ("leaky_relu", x),
            ("linear", x),
            ("mish", x * x.exp().ln_1p().tanh()),
        ] {
            let found = apply(name, 0.7);
            assert!((found - expected).abs() < 1e-6, "{name}: {found} and not {expected}");
        }
        assert!((apply("leaky_relu", -1.0) + 0.01).abs() < 1e-7 && apply("relu2", -1.0) == 0.0);
        assert!(Activation::named("prelu").unwrap_err().contains("gelu_new"));
    }

    #[test]
    fn a_root_mean_square_norm_keeps_the_mean() {
        let norm = Norm::RootMeanSquare { weight: Tensor::from_slice(&[1_f32, 2.0]), eps: 0.0 };
        let y: Vec<f32> = Vec::try_from(norm.forward(&Tensor::from_slice(&[3_f32, 4.0])).unwrap()).unwrap();
        let root = 12.5_f32.sqrt();
        assert!((y[0] - 3.0 / root).abs() < 1e-6 && (y[1] - 8.0 / root).abs() < 1e-6);
    }
}
