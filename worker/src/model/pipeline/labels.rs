//! Networks with a head for labels: rerankers and classifiers, as CrossEncoder of sentence-transformers has them.

use serde::Deserialize;

use crate::failure::Result;
use crate::folder::Folder;

const CONFIG: &str = "config.json";

/// The fields of config.json that say what a network without modules.json is for.
#[derive(Default, Deserialize)]
pub(super) struct Network {
    #[serde(default)]
    pub(super) architectures: Vec<String>,
    sentence_transformers: Option<CrossEncoder>,
    sbert_ce_default_activation_function: Option<String>,
}

#[derive(Default, Deserialize)]
struct CrossEncoder {
    activation_fn: Option<String>,
}

/// What a CrossEncoder does with the numbers of its network: what its own settings say, or config.json, or else by the number of
/// labels.
pub(super) fn activation(place: &Folder, own: Option<String>) -> Result<Activation> {
    let network: Network = place.json(CONFIG)?;
    let named = network.sentence_transformers.and_then(|own| own.activation_fn);
    match own.or(named).or(network.sbert_ce_default_activation_function).as_deref() {
        None => Ok(Activation::ByLabels),
        Some(path) => {
            match path.strip_prefix("torch.").and_then(|path| path.rsplit('.').next()) {
                Some("Sigmoid") => Ok(Activation::Sigmoid),
                Some("Identity") => Ok(Activation::Identity),
                _ => Err(place
                    .unsupported(CONFIG, format!("activation_fn {path} is not supported; Sigmoid and Identity are"))),
            }
        }
    }
}

/// What is done with the numbers of a head for labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The logistic function for one label, nothing for several.
    #[default]
    ByLabels,
    /// The logistic function.
    Sigmoid,
    /// Nothing.
    Identity,
}

impl Activation {
    /// The numbers of a head as the model's own files define them (`CrossEncoder.predict`).
    pub fn apply(self, row: Vec<f32>) -> Vec<f32> {
        let squeezed = match self {
            Self::ByLabels => row.len() == 1,
            Self::Sigmoid => true,
            Self::Identity => false,
        };
        if squeezed { row.into_iter().map(logistic).collect() } else { row }
    }
}

/// The logistic function.
pub(crate) fn logistic(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_is_a_probability_and_several_are_numbers() {
        assert_eq!(Activation::ByLabels.apply(vec![0.0]), [0.5]);
        assert_eq!(Activation::ByLabels.apply(vec![0.0, 1.0]), [0.0, 1.0]);
        assert_eq!(Activation::Identity.apply(vec![0.0]), [0.0]);
        assert_eq!((logistic(0.0), logistic(f32::MAX), logistic(f32::MIN)), (0.5, 1.0, 0.0));
    }
}
