//! The families: each reads its own settings from config.json, and fills a network from its own names.
//! Every default is that of the family's configuration class in transformers.

mod albert;
mod bert;
mod checks;
mod deberta;
mod decoders;
mod distilbert;
mod gte;
mod heads;
mod jina;
mod modernbert;
mod mpnet;
mod nomic;
mod rope;
pub(super) mod table;

use std::fmt::Debug;

use super::Encoder;
use super::builder::{Bias, Builder, Tied};
use super::heads::{SequenceHead, TokenHead, VocabularyHead};
use crate::failure::Result;
use crate::folder::Folder;

/// The file with a family's settings.
pub(super) const NAME: &str = "config.json";

/// The settings of a model, checked.
pub(super) trait Settings: Debug {
    /// Length of the vector that the encoder gives for a token.
    fn hidden_size(&self) -> usize;

    /// Rows of the table of words; a token's id is below this.
    fn vocab_size(&self) -> usize;

    /// Most tokens of a text: the number of positions of the model.
    fn max_tokens(&self) -> usize;

    /// A tensor at the encoder's root that every model of the family has.
    fn marker(&self) -> &'static str {
        "embeddings.word_embeddings.weight"
    }

    /// Builds the network; the builder stands at the encoder's root.
    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>>;

    /// Builds the head of sequence classification, with so many labels; the builder stands at the encoder's root.
    fn sequence_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<SequenceHead>;

    /// Builds the head of token classification, with so many labels; the builder stands at the encoder's root.
    fn token_head(&self, builder: &mut Builder<'_>, labels: usize) -> Result<TokenHead> {
        let out = builder.above().linear("classifier", (labels, self.hidden_size()), Bias::Yes)?;
        Ok(TokenHead { dense: None, out })
    }

    /// Builds the head that predicts words; the builder stands at the encoder's root.
    fn vocabulary_head(&self, builder: &mut Builder<'_>, words: Tied<'_>) -> Result<VocabularyHead>;

    /// Whether the network computes tokens that no other token sees.
    fn has_unseen_tokens(&self) -> bool {
        true
    }

    /// Whether the table of words and that head share weights, if config.json does not say.
    fn tied(&self) -> bool {
        true
    }

    /// Whether that head says how a text goes on, and not which word a token stands for.
    fn continues_texts(&self) -> bool {
        false
    }
}

/// How config.json names a family, and the function that reads its settings. That function reads directly into the
/// family's own type, because serde's messages then keep their line and column.
pub(super) struct Entry {
    /// The value of `model_type`.
    pub(super) model_type: &'static str,
    /// What an architecture begins with, before `Model` or `For…`.
    pub(super) stem: &'static str,
    pub(super) read: fn(&Folder) -> Result<Box<dyn Settings>>,
}

/// One row per family.
pub(super) const FAMILIES: &[Entry] = &[
    Entry { model_type: "bert", stem: "Bert", read: |folder| bert::read(folder, &bert::BERT) },
    Entry { model_type: "roberta", stem: "Roberta", read: |folder| bert::read(folder, &bert::ROBERTA) },
    Entry { model_type: "xlm-roberta", stem: "XLMRoberta", read: |folder| bert::read(folder, &bert::XLM_ROBERTA) },
    Entry { model_type: "camembert", stem: "Camembert", read: |folder| bert::read(folder, &bert::XLM_ROBERTA) },
    Entry { model_type: "electra", stem: "Electra", read: |folder| bert::read(folder, &bert::ELECTRA) },
    Entry { model_type: "distilbert", stem: "DistilBert", read: distilbert::read },
    Entry { model_type: "mpnet", stem: "MPNet", read: mpnet::read },
    Entry { model_type: "albert", stem: "Albert", read: albert::read },
    Entry { model_type: "modernbert", stem: "ModernBert", read: modernbert::read },
    Entry { model_type: "nomic_bert", stem: "NomicBert", read: nomic::read },
    Entry { model_type: "gte", stem: "Gte", read: |folder| gte::read(folder, &gte::GTE) },
    Entry { model_type: "new", stem: "New", read: |folder| gte::read(folder, &gte::NEW) },
    Entry { model_type: "bert", stem: "JinaBert", read: jina::read },
    Entry { model_type: "deberta-v2", stem: "DebertaV2", read: deberta::read },
    Entry { model_type: "qwen3", stem: "Qwen3", read: decoders::qwen3 },
    Entry { model_type: "gemma3_text", stem: "Gemma3Text", read: decoders::gemma3 },
    Entry { model_type: "gemma3_text", stem: "Gemma3", read: decoders::gemma3 },
];
