//! The family of a model, with that family's own settings from config.json.

use serde::Deserialize;

use super::weights::Weights;
use super::{Encoder, bert};
use crate::failure::Result;
use crate::folder::Folder;

/// The file that names the family.
const NAME: &str = "config.json";

/// A supported family, with its settings. This type has a method for everything that differs between families.
#[derive(Clone, Debug)]
pub enum Family {
    /// BERT and its retrained copies.
    Bert(bert::Config),
}

/// How config.json names a family, and the function that reads the rest of the file. That function reads directly into
/// the family's own type, because serde's messages then keep their line and column.
struct Entry {
    /// The value of `model_type`.
    model_type: &'static str,
    /// Values of `architectures`; the first stands for the family if the file has none.
    architectures: &'static [&'static str],
    read: fn(&Folder) -> Result<Family>,
}

/// One row per family.
const FAMILIES: &[Entry] = &[Entry {
    model_type: "bert",
    architectures: bert::ARCHITECTURES,
    read: |folder| bert::Config::read(folder, NAME).map(Family::Bert),
}];

/// The fields that decide the family of a model.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    model_type: String,
}

impl Kind {
    /// What the model calls itself.
    fn name(&self) -> &str {
        self.architectures.first().map_or(&self.model_type, String::as_str)
    }

    fn entry(&self) -> Option<&'static Entry> {
        FAMILIES.iter().find(|entry| match self.architectures.first() {
            Some(name) => entry.architectures.contains(&name.as_str()),
            None => entry.model_type == self.model_type,
        })
    }
}

impl Family {
    /// Reads config.json. A model of an unsupported family is refused by its name, before a missing field can be
    /// reported.
    pub fn read(folder: &Folder) -> Result<Self> {
        let kind: Kind = folder.json(NAME)?;
        let name = kind.name();
        let Some(entry) = kind.entry() else {
            let supported = FAMILIES.iter().flat_map(|entry| entry.architectures).copied().collect::<Vec<_>>();
            let why = format!("architecture {name} is not supported; supported are {}", supported.join(", "));
            return Err(folder.unsupported(NAME, why));
        };
        // Other loaders choose by model_type. Reading such a file as another family would give wrong vectors.
        if !kind.model_type.is_empty() && kind.model_type != entry.model_type {
            let why = format!("architecture {name} and model_type {} are of different families", kind.model_type);
            return Err(folder.unsupported(NAME, why));
        }
        (entry.read)(folder)
    }

    /// The architecture, as config.json names it.
    pub fn architecture(&self) -> &str {
        match self {
            Self::Bert(config) => config.architecture(),
        }
    }

    /// Length of the vector that the encoder gives for a token.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.hidden_size,
        }
    }

    /// Rows of the embedding table; a token's id is below this.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.vocab_size,
        }
    }

    /// Most tokens of a text: the number of positions of the model.
    pub fn max_tokens(&self) -> usize {
        match self {
            Self::Bert(config) => config.max_tokens(),
        }
    }

    /// Builds the network, out of the weights.
    pub fn encoder(&self, weights: &mut Weights) -> Result<Box<dyn Encoder>> {
        Ok(match self {
            Self::Bert(config) => Box::new(bert::Bert::new(config, weights)?),
        })
    }
}
