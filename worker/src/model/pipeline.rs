//! The files of sentence-transformers: the steps around the encoder, and what a request gets that says nothing about them.

use std::collections::BTreeMap;

use belfry_crds::contract::load_failure::LoadFailure;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::heads::{WordPooling, WordWeight};
use super::pooling::{Mode, Pooling};
use super::settings;
use super::steps::StepConfig;
use crate::failure::Result;
use crate::folder::Folder;

const MODULES: &str = "modules.json";
const MODEL: &str = "config_sentence_transformers.json";
const CONFIG: &str = "config.json";

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

/// The steps around the encoder.
#[derive(Debug)]
pub struct Pipeline {
    /// Folder of the network and its tokenizer within the model's; empty if it is the same.
    pub place: String,
    /// What follows the encoder.
    pub purpose: Purpose,
    /// What the files beside the network say about its texts.
    pub texts: Texts,
    /// What a request gets that says nothing.
    pub presets: Presets,
}

/// What follows the encoder, and so what the model is for.
#[derive(Debug)]
pub enum Purpose {
    /// One vector per text.
    Vectors {
        /// Computes it from one vector per token.
        pooling: Pooling,
        /// What follows pooling, each with the folder of its files.
        steps: Vec<(String, StepConfig)>,
    },
    /// One weight per word of the vocabulary.
    Words(WordPooling, WordWeight),
    /// One number per label for a text or a pair of texts.
    Labels(Activation),
}

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
    /// How the model wants vectors to be compared: cosine, dot, euclidean or manhattan.
    pub similarity: Option<String>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    kwargs: Map<String, Value>,
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

#[derive(Default, Deserialize)]
struct ModelConfig {
    model_type: Option<String>,
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<usize>,
    similarity_fn_name: Option<String>,
}

/// `1_Pooling/config.json`: flags up to sentence-transformers 5, a name or a list of names after it.
#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the file has one flag per mode")]
struct PoolingConfig {
    pooling_mode: Option<Value>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    #[serde(default = "yes")]
    include_prompt: bool,
}

fn yes() -> bool {
    true
}

/// What `task` a folder is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "a variant's doc comment would become a line of --help")]
pub enum Task {
    Auto,
    Embedding,
    SparseEmbedding,
    Rerank,
    Classification,
}

/// The class of sentence-transformers that a folder was saved by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SavedBy {
    SentenceTransformer,
    SparseEncoder,
    CrossEncoder,
}

/// The fields of config.json that say what a network without modules.json is for.
#[derive(Default, Deserialize)]
struct Network {
    #[serde(default)]
    architectures: Vec<String>,
    sentence_transformers: Option<CrossEncoder>,
    sbert_ce_default_activation_function: Option<String>,
}

#[derive(Default, Deserialize)]
struct CrossEncoder {
    activation_fn: Option<String>,
}

/// `config.json` of a SpladePooling module.
#[derive(Deserialize)]
struct SpladeConfig {
    #[serde(default = "max")]
    pooling_strategy: String,
    #[serde(default = "relu")]
    activation_function: String,
}

fn max() -> String {
    "max".to_owned()
}

fn relu() -> String {
    "relu".to_owned()
}

impl Pipeline {
    /// Reads modules.json and the files that belong to it. Fails on any step that the worker does not support: one that is
    /// skipped would give wrong vectors without an error.
    pub fn read(folder: &Folder, task: Task) -> Result<Self> {
        let pipeline = match folder.optional_json::<Vec<Module>>(MODULES)? {
            Some(modules) => Self::with_modules(folder, modules)?,
            None => Self::without_modules(folder, task)?,
        };
        let fits = match (&pipeline.purpose, task) {
            (_, Task::Auto) => true,
            (Purpose::Vectors { .. }, task) => task == Task::Embedding,
            (Purpose::Words(..), task) => task == Task::SparseEmbedding,
            (Purpose::Labels(_), task) => matches!(task, Task::Rerank | Task::Classification),
        };
        if fits {
            return Ok(pipeline);
        }
        let is = match pipeline.purpose {
            Purpose::Vectors { .. } => "embedding",
            Purpose::Words(..) => "sparse-embedding",
            Purpose::Labels(_) => "rerank or classification",
        };
        let name = if folder.has(MODULES) { MODULES } else { CONFIG };
        Err(folder.unsupported(name, format!("the model is for {is}, and another task is asked for")))
    }

    fn with_modules(folder: &Folder, modules: Vec<Module>) -> Result<Self> {
        let (mut presets, saved_by) = presets(folder)?;
        let mut modules = modules.into_iter();
        let first = modules.next().ok_or_else(|| folder.corrupt(MODULES, "it lists no module"))?;
        if !matches!(first.name(), "Transformer" | "MLMTransformer") {
            let why = format!("module 0 is {}; only models that begin with a Transformer are supported", first.name());
            return Err(folder.unsupported(MODULES, why));
        }
        let (texts, task) = texts(&folder.within(&first.path)?)?;
        let words = first.name() == "MLMTransformer" || task == TransformerTask::FillMask;
        let modules: Vec<Module> = modules.collect();
        for (index, module) in modules.iter().enumerate().filter(|(_, module)| !module.kwargs.is_empty()) {
            let why = format!("module {} ({}) has kwargs, which are not supported", index + 1, module.name());
            return Err(folder.unsupported(MODULES, why));
        }
        let purpose = match (saved_by, task) {
            (SavedBy::CrossEncoder, _) | (_, TransformerTask::SequenceClassification) => {
                if let Some(module) = modules.first() {
                    return Err(unsupported_module(folder, 1, module, "none after the Transformer of a CrossEncoder"));
                }
                Purpose::Labels(activation(&folder.within(&first.path)?)?)
            }
            (SavedBy::SparseEncoder, _) => splade(folder, &modules)?,
            (SavedBy::SentenceTransformer, _) if words => splade(folder, &modules)?,
            (SavedBy::SentenceTransformer, _) => vectors(folder, modules, &mut presets)?,
        };
        if matches!(purpose, Purpose::Words(..)) && !words {
            let why = "a SpladePooling module needs a Transformer with the task fill-mask";
            return Err(folder.unsupported(MODULES, why));
        }
        Ok(Self { place: first.path, purpose, texts, presets })
    }

    /// What sentence-transformers makes of a folder of transformers: a CrossEncoder where the network has a head for labels, else a
    /// mean over all tokens. A network with a head for words is a SparseEncoder only if that is asked for.
    fn without_modules(folder: &Folder, task: Task) -> Result<Self> {
        let network: Network = folder.json(CONFIG)?;
        let architecture = network.architectures.first().map_or("", String::as_str);
        let has_labels = architecture.ends_with("ForSequenceClassification");
        let purpose = match task {
            Task::SparseEmbedding => Purpose::Words(WordPooling::Max, WordWeight::Log),
            Task::Auto | Task::Rerank | Task::Classification if has_labels => Purpose::Labels(activation(folder)?),
            _ => Purpose::Vectors { pooling: Pooling::new(vec![without_pooling(architecture)]), steps: Vec::new() },
        };
        if matches!(purpose, Purpose::Vectors { .. }) {
            tracing::warn!(
                folder = folder.path(""),
                "Model has no modules.json; its tokens are pooled as sentence-transformers does"
            );
        }
        let config: Map<String, Value> = folder.optional_json("tokenizer_config.json")?.unwrap_or_default();
        if config.contains_key("chat_template") || folder.has("chat_template.jinja") {
            let why = "the model has a chat template and no modules.json, so texts would become messages of a chat; add modules.json";
            return Err(folder.unsupported(MODULES, why));
        }
        let presets = Presets { pool_prompt: true, ..Presets::default() };
        Ok(Self { place: String::new(), purpose, texts: Texts::default(), presets })
    }
}

/// A network that was made to continue texts is pooled at its last token.
fn without_pooling(architecture: &str) -> Mode {
    if architecture.ends_with("ForCausalLM") { Mode::LastToken } else { Mode::Mean }
}

impl Module {
    /// The class without its path.
    fn name(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }
}

fn unsupported_module(folder: &Folder, index: usize, module: &Module, supported: &str) -> LoadFailure {
    folder.unsupported(MODULES, format!("module {index} is {}; supported: {supported}", module.name()))
}

/// The modules after the Transformer of a SentenceTransformer.
fn vectors(folder: &Folder, modules: Vec<Module>, presets: &mut Presets) -> Result<Purpose> {
    const SUPPORTED: &str = "Pooling, and after it Dense, LayerNorm, Dropout and Normalize";
    let (mut pooling, mut steps) = (None, Vec::new());
    for (index, module) in modules.into_iter().enumerate() {
        let place = folder.within(&module.path)?;
        match (module.name(), &pooling) {
            ("Pooling", None) => {
                let (modes, pool_prompt) = modes(&place)?;
                pooling = Some(modes);
                presets.pool_prompt = pool_prompt;
            }
            // Dropout does nothing outside of training.
            ("Dropout", Some(_)) => settings::check(&place, CONFIG, settings::DROPOUT)?,
            ("Normalize", Some(_)) => steps.push((module.path, StepConfig::Normalize)),
            ("Dense", Some(_)) => steps.push((module.path, StepConfig::dense(&place)?)),
            ("LayerNorm", Some(_)) => steps.push((module.path, StepConfig::layer_norm(&place)?)),
            _ => return Err(unsupported_module(folder, index + 1, &module, SUPPORTED)),
        }
    }
    // The last step is taken in the response, where a caller can turn it off.
    presets.normalize = matches!(steps.last(), Some((_, StepConfig::Normalize)));
    if presets.normalize {
        steps.pop();
    }
    let pooling = pooling.ok_or_else(|| folder.unsupported(MODULES, "it has no Pooling module"))?;
    Ok(Purpose::Vectors { pooling, steps })
}

/// The one module after the Transformer of a SparseEncoder.
fn splade(folder: &Folder, modules: &[Module]) -> Result<Purpose> {
    const SUPPORTED: &str = "SpladePooling alone after a Transformer that predicts words";
    let [module] = modules else {
        let why = format!("it has {} modules after the first; supported: {SUPPORTED}", modules.len());
        return Err(folder.unsupported(MODULES, why));
    };
    if module.name() != "SpladePooling" {
        return Err(unsupported_module(folder, 1, module, SUPPORTED));
    }
    let place = folder.within(&module.path)?;
    settings::check(&place, CONFIG, settings::SPLADE)?;
    let config: SpladeConfig = place.json(CONFIG)?;
    let unknown = |name: &str, value: &str| Err(place.unsupported(CONFIG, format!("{name} {value} is not supported")));
    let pooling = match config.pooling_strategy.as_str() {
        "max" => WordPooling::Max,
        "sum" => WordPooling::Sum,
        other => return unknown("pooling_strategy", other),
    };
    let weight = match config.activation_function.as_str() {
        "relu" => WordWeight::Log,
        "log1p_relu" => WordWeight::LogOfLog,
        other => return unknown("activation_function", other),
    };
    Ok(Purpose::Words(pooling, weight))
}

/// What a CrossEncoder does with the numbers of its network: what config.json says, or else by the number of labels.
fn activation(place: &Folder) -> Result<Activation> {
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

/// The task of the Transformer module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TransformerTask {
    #[default]
    FeatureExtraction,
    SequenceClassification,
    FillMask,
}

/// The first file that is there and not empty.
fn texts(place: &Folder) -> Result<(Texts, TransformerTask)> {
    for name in SENTENCE {
        let raw: Map<String, Value> = place.optional_json(name)?.unwrap_or_default();
        if raw.is_empty() {
            continue;
        }
        settings::check(place, name, settings::SENTENCE)?;
        let config: SentenceConfig = place.json(name)?;
        let (max_tokens, at_most) = (config.max_seq_length, config.processing_kwargs.text.max_length);
        if [max_tokens, at_most].contains(&Some(0)) {
            return Err(place.corrupt(name, "a text may have 0 tokens"));
        }
        let task = match config.transformer_task.as_deref() {
            None | Some("feature-extraction") => TransformerTask::FeatureExtraction,
            Some("sequence-classification") => TransformerTask::SequenceClassification,
            Some("fill-mask") => TransformerTask::FillMask,
            Some(other) => return Err(place.unsupported(name, format!("transformer_task {other} is not supported"))),
        };
        return Ok((Texts { max_tokens, at_most, lower: config.do_lower_case }, task));
    }
    Ok(Default::default())
}

fn presets(folder: &Folder) -> Result<(Presets, SavedBy)> {
    let mut presets = Presets { pool_prompt: true, ..Presets::default() };
    if !folder.has(MODEL) {
        return Ok((presets, SavedBy::SentenceTransformer));
    }
    settings::check(folder, MODEL, settings::MODEL)?;
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
        None | Some("SentenceTransformer") => SavedBy::SentenceTransformer,
        Some("SparseEncoder") => SavedBy::SparseEncoder,
        Some("CrossEncoder") => SavedBy::CrossEncoder,
        Some(other) => return Err(folder.unsupported(MODEL, format!("model_type {other} is not supported"))),
    };
    Ok((presets, saved_by))
}

fn modes(place: &Folder) -> Result<(Pooling, bool)> {
    settings::check(place, CONFIG, settings::POOLING)?;
    let config: PoolingConfig = place.json(CONFIG)?;
    let from_mode = match &config.pooling_mode {
        None => Vec::new(),
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            names.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => return Err(place.corrupt(CONFIG, "pooling_mode is neither a name nor a list of names")),
    };
    let flags = [
        (config.pooling_mode_cls_token, "cls"),
        (config.pooling_mode_max_tokens, "max"),
        (config.pooling_mode_mean_tokens, "mean"),
        (config.pooling_mode_mean_sqrt_len_tokens, "mean_sqrt_len_tokens"),
        (config.pooling_mode_weightedmean_tokens, "weightedmean"),
        (config.pooling_mode_lasttoken, "lasttoken"),
    ];
    let flagged = flags.iter().filter(|(on, _)| *on).map(|(_, mode)| *mode);
    let names: Vec<&str> = if from_mode.is_empty() { flagged.collect() } else { from_mode };
    let modes = names.iter().map(|mode| {
        Mode::named(mode).ok_or_else(|| place.unsupported(CONFIG, format!("pooling mode {mode} is not supported")))
    });
    match modes.collect::<Result<Vec<Mode>>>()? {
        // As sentence-transformers does.
        modes if modes.is_empty() => Ok((Pooling::new(vec![Mode::Mean]), config.include_prompt)),
        modes => Ok((Pooling::new(modes), config.include_prompt)),
    }
}

/// Most tokens of a text: what sentence-transformers says, else the tokenizer, and never more than the model has positions for.
pub fn max_tokens(texts: Texts, tokenizer: Option<usize>, positions: usize) -> usize {
    let limit = texts.at_most.or(texts.max_tokens).or(tokenizer).unwrap_or(usize::MAX);
    limit.clamp(1, positions)
}
