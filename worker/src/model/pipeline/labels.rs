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

/// What a CrossEncoder does with the numbers of its network: what config.json says, or else by the number of labels.
pub(super) fn activation(place: &Folder) -> Result<Activation> {
    let network: Network = place.json(CONFIG)?;
    let named = network.sentence_transformers.and_then(|own| own.activation_fn);
    match named.or(network.sbert_ce_default_activation_function).as_deref() {
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
