//! Rotary positions: pairs of dimensions of queries and keys are turned by an angle that grows with the position.
//! The formulas of the frequencies are those of transformers' `modeling_rope_utils.py`.

use std::f64::consts::TAU;

use serde::Deserialize;
use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

use super::layers::TorchResult;
use crate::plain;

/// How positions past those of the training are reached.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scaling {
    /// They are not.
    None,
    /// Positions are divided.
    Linear { factor: f64 },
    /// Low frequencies are divided, high ones stay (<https://huggingface.co/papers/2309.00071>). `magnitude` multiplies
    /// sines and cosines; the ramp goes from dimension `low` to `high`.
    Yarn { factor: f64, magnitude: f64, low: f64, high: f64 },
    /// Low frequencies are divided, as Llama 3.1 does it.
    Llama3 { factor: f64, low: f64, high: f64, original: f64 },
    /// The base grows, by the same factor in every layer (<https://kexue.fm/archives/9706>).
    Ntk { factor: f64, mixed: Option<f64> },
}

/// The settings of one kind of layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rope {
    /// Base of the wavelengths.
    pub(super) theta: f64,
    pub(super) scaling: Scaling,
}

/// What config.json may say beside the dictionary itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// The value if no field sets it.
    pub(super) theta: f64,
    /// Dimensions of a head.
    pub(super) head: usize,
    pub(super) max_positions: usize,
    /// Field `original_max_position_embeddings` of config.json itself; it goes first.
    pub(super) original: Option<usize>,
}

/// A dictionary `rope_parameters`, or `rope_scaling` of older files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    rope_type: Option<String>,
    r#type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    mixed_b: Option<f64>,
}

impl Rope {
    /// Reads a dictionary. The error says what is not supported, or missing.
    pub(super) fn read(map: &Map<String, Value>, around: Around) -> Result<Self, String> {
        let given: Given = plain::part(Value::Object(map.clone()))?;
        if given.partial_rotary_factor.is_some_and(|part| (part - 1.0).abs() > f64::EPSILON) {
            return Err("partial_rotary_factor other than 1 is not supported".to_owned());
        }
        if given.truncate == Some(false) {
            return Err("truncate false is not supported".to_owned());
        }
        let theta = given.rope_theta.unwrap_or(around.theta);
        let scaling = given.scaling(theta, around)?;
        if !(theta.is_finite() && theta > 1.0) {
            return Err(format!("rope_theta {theta} is not a number above 1"));
        }
        Ok(Self { theta, scaling })
    }

    /// One angle per position step and pair of dimensions, for a rotation of `dims` dimensions, in 32-bit floats.
    fn frequencies(&self, dims: usize) -> TorchResult<Tensor> {
        let base = match self.scaling {
            Scaling::Ntk { factor, mixed: None } => self.theta * factor,
            _ => self.theta,
        };
        let exponents = Tensor::f_arange_start_step(0, dims as i64, 2, (Kind::Float, Device::Cpu))?;
        let plain = Tensor::f_pow_scalar(base, &exponents.f_div_scalar(dims as f64)?)?.f_reciprocal()?;
        match self.scaling {
            Scaling::None => Ok(plain),
            Scaling::Linear { factor } => plain.f_div_scalar(factor),
            Scaling::Ntk { factor, mixed: None } => plain.f_div_scalar(factor.powf(2.0 / dims as f64)),
            Scaling::Ntk { factor, mixed: Some(power) } => {
                let a = factor.ln() / (dims as f64 / 2.0).powf(power);
                let steps = Tensor::f_arange_start(1, dims as i64 / 2 + 1, (Kind::Float, Device::Cpu))?;
                plain.f_div(&steps.f_pow_tensor_scalar(power)?.f_mul_scalar(a)?.f_exp()?)
            }
            Scaling::Yarn { factor, low, high, .. } => {
                // The singular case of transformers: a ramp of no length.
                let high = if (high - low).abs() < f64::EPSILON { high + 0.001 } else { high };
                let steps = Tensor::f_arange(dims as i64 / 2, (Kind::Float, Device::Cpu))?;
                let ramp = steps.f_sub_scalar(low)?.f_div_scalar(high - low)?.f_clamp(0.0, 1.0)?;
                let kept = ramp.f_neg()?.f_add_scalar(1.0)?;
                plain.f_div_scalar(factor)?.f_mul(&ramp)?.f_add(&plain.f_mul(&kept)?)
            }
            Scaling::Llama3 { factor, low, high, original } => {
                let lengths = plain.f_reciprocal()?.f_mul_scalar(TAU)?;
                let divided = plain.f_div_scalar(factor)?;
                let smooth = lengths.f_reciprocal()?.f_mul_scalar(original)?.f_sub_scalar(low)?;
                let smooth = smooth.f_div_scalar(high - low)?.f_clamp(0.0, 1.0)?;
                let rest = smooth.f_neg()?.f_add_scalar(1.0)?;
                divided.f_mul(&rest)?.f_add(&plain.f_mul(&smooth)?)
            }
        }
    }
}

impl Given {
    fn scaling(&self, theta: f64, around: Around) -> Result<Scaling, String> {
        let factor = || {
            let factor = self.factor.ok_or("factor is missing")?;
            if factor.is_finite() && factor >= 1.0 { Ok(factor) } else { Err("factor is not a number of at least 1") }
        };
        let above = |value: Option<f64>, name: &str| match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            _ => Err(format!("{name} is missing, or not a number above 0")),
        };
        let original = around.original.or(self.original_max_position_embeddings).unwrap_or(around.max_positions);
        match self.rope_type.as_deref().or(self.r#type.as_deref()).unwrap_or("default") {
            // The dynamic base grows only past max_position_embeddings, where no text reaches.
            "default" => Ok(Scaling::None),
            "dynamic" => factor().map(|_| Scaling::None).map_err(str::to_owned),
            "linear" => Ok(Scaling::Linear { factor: factor()? }),
            "ntk" => match factor()? {
                // transformers' base code turns the scaling on only if it makes the table longer.
                factor if factor > 1.0 => Ok(Scaling::Ntk { factor, mixed: self.mixed_b }),
                _ => Ok(Scaling::None),
            },
            "yarn" | "llama3" if original == 0 => Err("original_max_position_embeddings is 0".to_owned()),
            "yarn" => Ok(self.yarn(factor()?, theta, around.head as f64, original as f64)),
            "llama3" => {
                let low = above(self.low_freq_factor, "low_freq_factor")?;
                let high = above(self.high_freq_factor, "high_freq_factor")?;
                if high <= low {
                    return Err("high_freq_factor is not above low_freq_factor".to_owned());
                }
                Ok(Scaling::Llama3 { factor: factor()?, low, high, original: original as f64 })
            }
            other => {
                Err(format!("rope type {other} is not supported; supported are default, linear, dynamic, yarn, llama3"))
            }
        }
    }

    fn yarn(&self, factor: f64, theta: f64, dims: f64, original: f64) -> Scaling {
        let magnitude = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
        let set = |value: Option<f64>| value.filter(|value| *value != 0.0);
        let inferred = match (set(self.mscale), set(self.mscale_all_dim)) {
            (Some(above), Some(below)) => magnitude(above) / magnitude(below),
            _ => magnitude(1.0),
        };
        // The dimension that turns this often over the positions of the training.
        let dimension = |turns: f64| dims * (original / (turns * TAU)).ln() / (2.0 * theta.ln());
        Scaling::Yarn {
            factor,
            magnitude: self.attention_factor.unwrap_or(inferred),
            low: dimension(set(self.beta_fast).unwrap_or(32.0)).floor().max(0.0),
            high: dimension(set(self.beta_slow).unwrap_or(1.0)).ceil().min(dims - 1.0),
        }
    }
}

/// Which dimensions belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairs {
    /// A dimension of the first half with its counterpart in the second.
    Halves,
    /// Each with its neighbour.
    Neighbours,
}

/// The rotation of a network.
pub(super) struct Rotary {
    frequencies: Tensor,
    magnitude: f64,
    pairs: Pairs,
}

/// Sines and cosines of a batch's positions, `[tokens, 1, dimensions]`.
pub(super) struct Angles {
    cos: Tensor,
    sin: Tensor,
    pairs: Pairs,
}

impl Rotary {
    /// A rotation of the first `dims` dimensions of each head.
    pub(super) fn new(rope: &Rope, dims: usize, pairs: Pairs, device: Device) -> TorchResult<Self> {
        let magnitude = match rope.scaling {
            Scaling::Yarn { magnitude, .. } => magnitude,
            _ => 1.0,
        };
        Ok(Self { frequencies: rope.frequencies(dims)?.f_to_device(device)?, magnitude, pairs })
    }

    /// The angles of these positions, computed in 32-bit floats and rounded to `kind`.
    pub(super) fn angles(&self, positions: &Tensor, kind: Kind) -> TorchResult<Angles> {
        let steps = positions.f_to_kind(Kind::Float)?.f_unsqueeze(1)?.f_mul(&self.frequencies)?;
        let steps = match self.pairs {
            Pairs::Halves => Tensor::f_cat(&[&steps, &steps], 1)?,
            Pairs::Neighbours => steps.f_repeat_interleave_self_int(2, 1, None::<i64>)?,
        };
        let steps = steps.f_unsqueeze(1)?;
        let scaled = |x: Tensor| if self.magnitude == 1.0 { Ok(x) } else { x.f_mul_scalar(self.magnitude) };
        Ok(Angles {
            cos: scaled(steps.f_cos()?)?.f_to_kind(kind)?,
            sin: scaled(steps.f_sin()?)?.f_to_kind(kind)?,
            pairs: self.pairs,
        })
    }
}

impl Angles {
    /// Turns `[tokens, heads, size]`; dimensions past those of the angles stay.
    pub(super) fn turn(&self, x: &Tensor) -> TorchResult<Tensor> {
        let (size, dims) = (x.size()[2], self.cos.size()[2]);
        let turning = x.f_narrow(2, 0, dims)?;
        let turned = turning.f_mul(&self.cos)?.f_add_(&self.partner(&turning)?.f_mul(&self.sin)?)?;
        if size == dims {
            return Ok(turned);
        }
        Tensor::f_cat(&[turned, x.f_narrow(2, dims, size - dims)?], 2)
    }

    /// Each dimension's partner, negated for the first of a pair.
    fn partner(&self, x: &Tensor) -> TorchResult<Tensor> {
        let half = x.size()[2] / 2;
        match self.pairs {
            Pairs::Halves => Tensor::f_cat(&[x.f_narrow(2, half, half)?.f_neg()?, x.f_narrow(2, 0, half)?], 2),
            Pairs::Neighbours => {
                let pairs = x.f_reshape([x.size()[0], x.size()[1], half, 2])?;
                let swapped = [pairs.f_select(3, 1)?.f_neg()?, pairs.f_select(3, 0)?];
                Tensor::f_stack(&swapped, 3)?.f_reshape(x.size())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Rope, String> {
        let around = Around { theta: 10_000.0, head: 8, max_positions: 64, original: None };
        Rope::read(value.as_object().unwrap(), around)
    }

    #[test]
    fn dictionaries_of_any_age_are_read_and_what_is_not_supported_is_named() {
        let plain = Rope { theta: 10_000.0, scaling: Scaling::None };
        assert_eq!(read(&json!({})), Ok(plain.clone()));
        assert_eq!(read(&json!({ "rope_type": "dynamic", "factor": 2.0 })), Ok(plain));
        let linear = Rope { theta: 5.0, scaling: Scaling::Linear { factor: 2.0 } };
        assert_eq!(read(&json!({ "type": "linear", "factor": 2, "rope_theta": 5 })), Ok(linear));
        for (given, says) in [
            (json!({ "rope_type": "longrope" }), "longrope"),
            (json!({ "rope_type": "linear" }), "factor is missing"),
            (json!({ "rope_type": "linear", "factor": 0.5 }), "at least 1"),
            (json!({ "rope_theta": 0 }), "rope_theta"),
            (json!({ "mrope_section": [1] }), "mrope_section"),
            (json!({ "partial_rotary_factor": 0.5 }), "partial_rotary_factor"),
            (json!({ "rope_type": "yarn", "factor": 2, "truncate": false }), "truncate"),
            (json!({ "rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0 }), "original"),
            (json!({ "rope_type": "llama3", "factor": 2, "low_freq_factor": 1 }), "high_freq_factor"),
        ] {
            let why = read(&given).unwrap_err();
            assert!(why.contains(says), "{given}: {why}");
        }
    }

    #[test]
    fn a_rotation_keeps_lengths_and_the_dimensions_past_it() {
        let rope = Rope { theta: 100.0, scaling: Scaling::None };
        let x = Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([2, 1, 6]);
        let positions = Tensor::from_slice(&[0_i64, 3]);
        for pairs in [Pairs::Halves, Pairs::Neighbours] {
            let rotary = Rotary::new(&rope, 4, pairs, Device::Cpu).unwrap();
            let turned = rotary.angles(&positions, Kind::Float).unwrap().turn(&x).unwrap();
            let rows: Vec<f32> = Vec::try_from(turned.reshape([-1])).unwrap();
            assert_eq!(rows[..6], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(rows[10..], [10.0, 11.0]);
            let length: f32 = rows[6..10].iter().map(|x| x * x).sum();
            assert!((length - 230.0).abs() < 1e-2 && rows[6] != 6.0, "{pairs:?}: {rows:?}");
        }
    }
}
