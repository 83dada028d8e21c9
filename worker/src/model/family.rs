//! The family of a model, with that family's own settings from config.json.

use serde::Deserialize;

use super::Encoder;
use super::builder::Builder;
use super::families::{Entry, FAMILIES, NAME, Settings};
use super::weights::Weights;
use crate::failure::Result;
use crate::folder::Folder;

/// A supported family, with the settings of a model. Everything that differs between families is asked of this type.
#[derive(Debug)]
pub struct Family {
    architecture: String,
    model_type: &'static str,
    settings: Box<dyn Settings>,
}

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
            Some(name) => entry.has(name),
            None => entry.model_type == self.model_type,
        })
    }
}

impl Entry {
    /// Whether this is the bare encoder of the family, or the encoder with a head.
    fn has(&self, architecture: &str) -> bool {
        let rest = architecture.strip_prefix(self.stem);
        rest.is_some_and(|rest| rest == "Model" || rest.starts_with("For"))
    }
}

impl Family {
    /// Reads config.json. A model of an unsupported family is refused by its name, before a missing field can be
    /// reported.
    pub fn read(folder: &Folder) -> Result<Self> {
        let kind: Kind = folder.json(NAME)?;
        let name = kind.name();
        let Some(entry) = kind.entry() else {
            let supported: Vec<_> = FAMILIES.iter().map(|entry| format!("{}Model", entry.stem)).collect();
            let why = format!(
                "architecture {name} is not supported; supported are {}; for another one choose another server under the same monitoring \
                 with spec.engine",
                supported.join(", ")
            );
            return Err(folder.unsupported(NAME, why));
        };
        // Other loaders choose by model_type. Reading such a file as another family would give wrong vectors.
        if !kind.model_type.is_empty() && kind.model_type != entry.model_type {
            let why = format!("architecture {name} and model_type {} are of different families", kind.model_type);
            return Err(folder.unsupported(NAME, why));
        }
        let architecture = kind.architectures.first().cloned().unwrap_or_else(|| format!("{}Model", entry.stem));
        Ok(Self { architecture, model_type: entry.model_type, settings: (entry.read)(folder)? })
    }

    /// The architecture, as config.json names it.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The `model_type` of the family.
    pub fn model_type(&self) -> &'static str {
        self.model_type
    }

    /// Length of the vector that the encoder gives for a token.
    pub fn hidden_size(&self) -> usize {
        self.settings.hidden_size()
    }

    /// Rows of the embedding table; a token's id is below this.
    pub fn vocab_size(&self) -> usize {
        self.settings.vocab_size()
    }

    /// Most tokens of a text: the number of positions of the model.
    pub fn max_tokens(&self) -> usize {
        self.settings.max_tokens()
    }

    /// Builds the network, out of the weights. Weights that the network has no place for refuse the model, unless they
    /// are known to belong to a head.
    pub fn encoder(&self, weights: &mut Weights) -> Result<Box<dyn Encoder>> {
        let mut builder = Builder::find(weights, self.settings.marker())?;
        let encoder = self.settings.encoder(&mut builder)?;
        builder.finish()?;
        Ok(encoder)
    }
}
