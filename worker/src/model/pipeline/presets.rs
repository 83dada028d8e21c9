//! `config_sentence_transformers.json`: what a request gets that says nothing, and who saved the folder.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::labels::Activation;
use super::late;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::late::MaxSim;
use crate::model::settings::{self, Setting};

const MODEL: &str = "config_sentence_transformers.json";

/// What a request gets that says nothing: part of the model, as its files define it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presets {
    /// Texts that go before a text, by name.
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt that goes before every text.
    pub default_prompt: Option<String>,
    /// Whether the tokens of a prompt are pooled.
    pub pool_prompt: bool,
    /// Vectors are brought to length 1 by the model itself.
    pub normalize: bool,
    /// Vectors are cut to this many values.
    pub dimensions: Option<usize>,
    /// What is done with the numbers of a head for labels.
    pub activation: Activation,
    /// How tokens are pooled, by the names of sentence-transformers.
    pub pooling: String,
    /// Names of the labels of such a head.
    pub labels: Vec<String>,
    /// How the model wants vectors to be compared: cosine, dot, euclidean, manhattan, or maxsim.
    pub similarity: Option<String>,
    /// How the vectors of tokens are compared, in a model for late interaction. Its queries are encoded with the prompt `query`.
    pub max_sim: Option<MaxSim>,
}

impl Presets {
    /// Puts a text before the prompt of this name, and returns it if it is not empty.
    pub(super) fn begin(&mut self, name: &str, prefix: &str) -> Option<String> {
        let prompt = self.prompts.remove(name).unwrap_or_default();
        let rest = prompt.strip_prefix(prefix).unwrap_or(&prompt);
        self.prompts.insert(name.to_owned(), format!("{prefix}{rest}"));
        (!prefix.is_empty()).then(|| prefix.to_owned())
    }

    /// Prompts of a model for late interaction: those for queries and documents are always there, and that for documents is what a
    /// request gets that says nothing.
    pub(super) fn of_two_roles(mut self) -> Self {
        for name in ["query", "document"] {
            self.prompts.entry(name.to_owned()).or_default();
        }
        let similarity = if self.max_sim == Some(MaxSim::Mean) { "meanmaxsim" } else { "maxsim" };
        Self { default_prompt: Some("document".to_owned()), similarity: Some(similarity.to_owned()), ..self }
    }
}

#[derive(Default, Deserialize)]
struct ModelConfig {
    model_type: Option<String>,
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<usize>,
    similarity_fn_name: Option<String>,
    activation_fn: Option<String>,
}

/// The class of sentence-transformers that a folder was saved by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SavedBy {
    SentenceTransformer,
    SparseEncoder,
    CrossEncoder,
    MultiVectorEncoder,
}

/// The presets, who saved the folder, and what a CrossEncoder does with the numbers of its network, if that is said.
pub(super) fn presets(folder: &Folder) -> Result<(Presets, SavedBy, Option<String>)> {
    let mut presets = Presets { pool_prompt: true, ..Presets::default() };
    if !folder.has(MODEL) {
        return Ok((presets, SavedBy::SentenceTransformer, None));
    }
    let raw: Map<String, Value> = folder.json(MODEL)?;
    let is_late = late::is_late(&raw);
    // The library takes null for a type of its own that it does not know, and builds other modules.
    if raw.get("model_type").is_some_and(Value::is_null) {
        return Err(
            folder.unsupported(MODEL, "model_type is null; leave it out, or name the class that saved the folder")
        );
    }
    let special: &[Setting] = if is_late { settings::LATE } else { &[] };
    settings::check_in(folder, MODEL, &[special, settings::MODEL])?;
    let config: ModelConfig = folder.json(MODEL)?;
    presets.prompts = config.prompts.into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect();
    // Two names are always there, and empty.
    let known = |name: &String| presets.prompts.contains_key(name) || matches!(name.as_str(), "query" | "document");
    if let Some(name) = config.default_prompt_name.as_ref().filter(|name| !known(name)) {
        return Err(folder.corrupt(MODEL, format!("default_prompt_name is {name}, and prompts has no such name")));
    }
    if config.truncate_dim == Some(0) {
        return Err(folder.corrupt(MODEL, "truncate_dim is 0"));
    }
    presets.default_prompt = config.default_prompt_name;
    presets.dimensions = config.truncate_dim;
    presets.similarity = config.similarity_fn_name;
    let saved_by = match config.model_type.as_deref() {
        _ if is_late => SavedBy::MultiVectorEncoder,
        None | Some("SentenceTransformer") => SavedBy::SentenceTransformer,
        Some("SparseEncoder") => SavedBy::SparseEncoder,
        Some("CrossEncoder") => SavedBy::CrossEncoder,
        Some(other) => return Err(folder.unsupported(MODEL, format!("model_type {other} is not supported"))),
    };
    Ok((presets, saved_by, config.activation_fn))
}
