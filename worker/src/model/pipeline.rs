//! The files of sentence-transformers: the steps around the encoder, and what a request gets that says nothing about them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

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
    /// Computes one vector per text from one vector per token.
    pub pooling: Pooling,
    /// What follows pooling, each with the folder of its files.
    pub steps: Vec<(String, StepConfig)>,
    /// What the files beside the network say about its texts.
    pub texts: Texts,
    /// What a request gets that says nothing.
    pub presets: Presets,
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

impl Pipeline {
    /// Reads modules.json and the files that belong to it. Fails on any step that the worker does not support: one that is
    /// skipped would give wrong vectors without an error.
    pub fn read(folder: &Folder) -> Result<Self> {
        let Some(modules) = folder.optional_json::<Vec<Module>>(MODULES)? else { return Self::without_modules(folder) };
        let mut modules = modules.into_iter();
        let first = modules.next().ok_or_else(|| folder.corrupt(MODULES, "it lists no module"))?;
        let kind = |module: &Module| module.kind.rsplit('.').next().unwrap_or_default().to_owned();
        if kind(&first) != "Transformer" {
            let why = format!("module 0 is {}; only models that begin with a Transformer are supported", kind(&first));
            return Err(folder.unsupported(MODULES, why));
        }
        let texts = texts(&folder.within(&first.path)?)?;
        let mut presets = presets(folder)?;
        let (mut pooling, mut steps) = (None, Vec::new());
        for (index, module) in modules.enumerate() {
            let place = folder.within(&module.path)?;
            if !module.kwargs.is_empty() {
                return Err(
                    folder.unsupported(MODULES, format!("module {} has kwargs, which are not supported", index + 1))
                );
            }
            match (kind(&module).as_str(), &pooling) {
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
                (name, _) => {
                    let why = format!(
                        "module {} is {name}; supported are Transformer, Pooling, and after them Dense, LayerNorm, Dropout and Normalize",
                        index + 1
                    );
                    return Err(folder.unsupported(MODULES, why));
                }
            }
        }
        // The last step is taken in the response, where a caller can turn it off.
        presets.normalize = matches!(steps.last(), Some((_, StepConfig::Normalize)));
        if presets.normalize {
            steps.pop();
        }
        let pooling = pooling.ok_or_else(|| {
            folder.unsupported(MODULES, "it has no Pooling module; only models with one vector a text are supported")
        })?;
        Ok(Self { place: first.path, pooling, steps, texts, presets })
    }

    /// What sentence-transformers makes of a folder of transformers: a mean over all tokens.
    fn without_modules(folder: &Folder) -> Result<Self> {
        tracing::warn!(
            folder = folder.path(""),
            "Model has no modules.json; mean pooling is used, as sentence-transformers does"
        );
        let config: Map<String, Value> = folder.optional_json("tokenizer_config.json")?.unwrap_or_default();
        if config.contains_key("chat_template") || folder.has("chat_template.jinja") {
            let why = "the model has a chat template and no modules.json, so texts would become messages of a chat; add modules.json";
            return Err(folder.unsupported(MODULES, why));
        }
        Ok(Self {
            place: String::new(),
            pooling: Pooling::new(vec![Mode::Mean]),
            steps: Vec::new(),
            texts: Texts::default(),
            presets: Presets { pool_prompt: true, ..Presets::default() },
        })
    }
}

/// The first file that is there and not empty.
fn texts(place: &Folder) -> Result<Texts> {
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
        return Ok(Texts { max_tokens, at_most, lower: config.do_lower_case });
    }
    Ok(Texts::default())
}

fn presets(folder: &Folder) -> Result<Presets> {
    let mut presets = Presets { pool_prompt: true, ..Presets::default() };
    if !folder.has(MODEL) {
        return Ok(presets);
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
    Ok(presets)
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
