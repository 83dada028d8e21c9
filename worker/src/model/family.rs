//! The family of a model, with that family's own settings from config.json.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Encoder;
use super::builder::{Builder, Tied};
use super::families::{Entry, FAMILIES, NAME, Settings, table};
use super::heads::{Head, HeadKind};
use super::weights::Weights;
use crate::failure::Result;
use crate::folder::Folder;

/// A supported family, with the settings of a model. Everything that differs between families is asked of this type.
#[derive(Debug)]
pub struct Family {
    architecture: String,
    model_type: &'static str,
    settings: Box<dyn Settings>,
    labels: Vec<String>,
    tied: bool,
}

/// Settings of heads that all families have.
#[derive(Deserialize)]
struct HeadFields {
    id2label: Option<BTreeMap<String, Value>>,
    num_labels: Option<usize>,
    tie_word_embeddings: Option<bool>,
}

/// The architecture of the original ColBERT: the encoder of any family, and a linear layer.
const COLBERT: &str = "HF_ColBERT";

/// What a table of words is called in place of an architecture.
const TABLE: &str = "StaticEmbedding";

/// Most labels of a head.
const LABELS_LIMIT: usize = 1 << 20;

impl HeadFields {
    /// Names of the labels by their number, as transformers counts them: two without a word in config.json.
    fn labels(&self) -> Vec<String> {
        let count = self.id2label.as_ref().map_or(self.num_labels.unwrap_or(2), BTreeMap::len);
        let name = |number: usize| {
            let given = self.id2label.as_ref().and_then(|named| named.get(&number.to_string()));
            let text = given.map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned));
            text.unwrap_or_else(|| format!("LABEL_{number}"))
        };
        (0..count.min(LABELS_LIMIT)).map(name).collect()
    }
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
            Some(name) if name != COLBERT => entry.has(name),
            _ => entry.model_type == self.model_type,
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
        let heads: HeadFields = folder.json(NAME)?;
        let settings = (entry.read)(folder)?;
        let tied = heads.tie_word_embeddings.unwrap_or(settings.tied());
        Ok(Self { architecture, model_type: entry.model_type, settings, labels: heads.labels(), tied })
    }

    /// A table of words without a network, by its weights.
    pub fn of_table(place: &Folder) -> Result<Self> {
        let settings = table::read(place)?;
        Ok(Self { architecture: TABLE.to_owned(), model_type: "static", settings, labels: Vec::new(), tied: true })
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

    /// Whether the network computes tokens that no other token sees, as the fill of a query for late interaction may be.
    pub fn has_unseen_tokens(&self) -> bool {
        self.settings.has_unseen_tokens()
    }

    /// Whether the network's head for words says how a text goes on.
    pub fn continues_texts(&self) -> bool {
        self.settings.continues_texts()
    }

    /// Names of the labels of a head for classes, in the order of its numbers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Builds the network, out of the weights. Weights that the network has no place for refuse the model, unless they
    /// are known to belong to a head.
    pub fn encoder(&self, weights: &mut Weights) -> Result<Box<dyn Encoder>> {
        let mut builder = Builder::find(weights, self.settings.marker())?;
        let encoder = self.settings.encoder(&mut builder)?;
        builder.finish()?;
        Ok(encoder)
    }

    /// Builds the network with a head. Refused if the weights have no such head.
    pub fn encoder_with_head(&self, weights: &mut Weights, kind: HeadKind) -> Result<(Box<dyn Encoder>, Head)> {
        let mut builder = Builder::find(weights, self.settings.marker())?;
        let encoder = self.settings.encoder(&mut builder)?;
        let words = Tied { table: encoder.words(), tied: self.tied };
        let head = match kind {
            HeadKind::Sequence => Head::Sequence(self.settings.sequence_head(&mut builder, self.labels.len())?),
            HeadKind::Tokens => Head::Tokens(self.settings.token_head(&mut builder, self.labels.len())?),
            HeadKind::Vocabulary => Head::Vocabulary(self.settings.vocabulary_head(&mut builder, words)?),
        };
        builder.finish()?;
        Ok((encoder, head))
    }
}
