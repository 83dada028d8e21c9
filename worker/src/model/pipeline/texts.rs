//! `sentence_bert_config.json` and its sister names: what sentence-transformers does with a text before the network.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::chat::ChatSettings;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::settings::{self, Setting};

/// Names of the file beside the network that sentence-transformers tries, in this order; the first that says something counts.
const SENTENCE: &[&str] = &[
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// What `sentence_bert_config.json` says about texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// Most tokens of a text, in place of what the tokenizer says.
    pub max_tokens: Option<usize>,
    /// Most tokens, whatever else is said.
    pub at_most: Option<usize>,
    /// Lower-case texts first.
    pub lower: bool,
}

#[derive(Default, Deserialize)]
struct SentenceConfig {
    transformer_task: Option<String>,
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
    #[serde(default)]
    processing_kwargs: Processing,
}

#[derive(Default, Deserialize)]
struct Processing {
    #[serde(default)]
    text: ProcessingText,
}

#[derive(Default, Deserialize)]
struct ProcessingText {
    max_length: Option<usize>,
}

/// The task of the Transformer module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TransformerTask {
    #[default]
    FeatureExtraction,
    SequenceClassification,
    FillMask,
    TextGeneration,
}

/// The texts and the task of a Transformer, and how texts become messages.
pub(super) fn texts(place: &Folder) -> Result<(Texts, TransformerTask, Option<ChatSettings>)> {
    read(place, &[settings::SENTENCE]).map(|Read { texts, task, chat, .. }| (texts, task, chat))
}

/// The content of the file.
#[derive(Default)]
pub(super) struct Read {
    pub(super) texts: Texts,
    pub(super) task: TransformerTask,
    pub(super) chat: Option<ChatSettings>,
    /// All of it; empty if there is none.
    pub(super) raw: Map<String, Value>,
}

/// Reads the first file that is there and not empty. `tables` say which settings are known; the first that has one counts.
pub(super) fn read(place: &Folder, tables: &[&[Setting]]) -> Result<Read> {
    for name in SENTENCE {
        let raw: Map<String, Value> = place.optional_json(name)?.unwrap_or_default();
        if raw.is_empty() {
            continue;
        }
        settings::check_in(place, name, tables)?;
        let config: SentenceConfig = place.json(name)?;
        let (max_tokens, at_most) = (config.max_seq_length, config.processing_kwargs.text.max_length);
        if [max_tokens, at_most].contains(&Some(0)) {
            return Err(place.corrupt(name, "a text may have 0 tokens"));
        }
        let task = match config.transformer_task.as_deref() {
            None | Some("feature-extraction") => TransformerTask::FeatureExtraction,
            Some("sequence-classification") => TransformerTask::SequenceClassification,
            Some("fill-mask") => TransformerTask::FillMask,
            Some("text-generation") => TransformerTask::TextGeneration,
            Some(other) => return Err(place.unsupported(name, format!("transformer_task {other} is not supported"))),
        };
        let texts = Texts { max_tokens, at_most, lower: config.do_lower_case };
        let chat = ChatSettings::of(place, name, &raw)?;
        return Ok(Read { texts, task, chat, raw });
    }
    Ok(Read::default())
}

/// Most tokens of a text: what sentence-transformers says, else the tokenizer, and never more than the model has positions for.
pub fn max_tokens(texts: Texts, tokenizer: Option<usize>, positions: usize) -> usize {
    let limit = texts.at_most.or(texts.max_tokens).or(tokenizer).unwrap_or(usize::MAX);
    limit.clamp(1, positions)
}
