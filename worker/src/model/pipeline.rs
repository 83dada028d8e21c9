//! The files of sentence-transformers: which steps follow the encoder, and how many tokens it takes.

use serde::Deserialize;

use super::family::Family;
use super::pooling::{Mode, Pooling};
use crate::failure::Result;
use crate::folder::Folder;

/// The steps around the encoder.
#[derive(Debug)]
pub struct Pipeline {
    /// Computes one vector per text from one vector per token.
    pub pooling: Pooling,
    /// Most tokens of a text, special tokens included; at least 1.
    pub max_tokens: usize,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Default, Deserialize)]
struct TokenizerConfig {
    /// A float of 1e30 stands for no limit.
    model_max_length: Option<f64>,
}

/// `1_Pooling/config.json`: flags up to sentence-transformers 5, a name or a list of names after it.
#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the file has one flag per mode")]
struct PoolingConfig {
    pooling_mode: Option<serde_json::Value>,
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
}

impl Pipeline {
    /// Reads modules.json and the files that belong to it. Fails on any step that the worker does not support.
    pub fn read(folder: &Folder, family: &Family) -> Result<Self> {
        Ok(Self { pooling: pooling(folder)?, max_tokens: max_tokens(folder, family)? })
    }
}

/// Walks modules.json. A step that is skipped gives wrong vectors without an error, so an unknown one is refused.
fn pooling(folder: &Folder) -> Result<Pooling> {
    const NAME: &str = "modules.json";
    let Some(modules) = folder.optional_json::<Vec<Module>>(NAME)? else {
        tracing::warn!(
            folder = folder.path(""),
            "Model has no modules.json; mean pooling is used, as sentence-transformers does"
        );
        return Ok(Pooling::new(vec![Mode::Mean]));
    };
    let mut pooling = None;
    for (index, module) in modules.iter().enumerate() {
        let kind = module.kind.rsplit('.').next().unwrap_or_default();
        match (index, kind) {
            (0, "Transformer") if module.path.is_empty() => {}
            (0, "Transformer") => {
                return Err(folder.unsupported(
                    NAME,
                    "the Transformer module is in a folder of its own; put its files beside modules.json",
                ));
            }
            (1, "Pooling") => pooling = Some(modes(folder, &format!("{}/config.json", module.path))?),
            // Vectors are brought to length 1 in the response, where a caller can also turn that off.
            (2, "Normalize") => {}
            _ => {
                let why = format!(
                    "module {index} is {kind}; supported are Transformer, Pooling and Normalize, in this order"
                );
                return Err(folder.unsupported(NAME, why));
            }
        }
    }
    pooling.ok_or_else(|| {
        folder.unsupported(NAME, "it has no Pooling module; only models with one vector a text are supported")
    })
}

fn modes(folder: &Folder, name: &str) -> Result<Pooling> {
    let config: PoolingConfig = folder.json(name)?;
    let from_mode = match &config.pooling_mode {
        None => Vec::new(),
        Some(serde_json::Value::String(name)) => vec![name.as_str()],
        Some(serde_json::Value::Array(names)) => names.iter().filter_map(serde_json::Value::as_str).collect(),
        Some(_) => return Err(folder.corrupt(name, "pooling_mode is neither a name nor a list of names")),
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
        Mode::named(mode).ok_or_else(|| folder.unsupported(name, format!("pooling mode {mode} is not supported")))
    });
    match modes.collect::<Result<Vec<Mode>>>()? {
        modes if modes.is_empty() => Err(folder.corrupt(name, "it turns no pooling mode on")),
        modes => Ok(Pooling::new(modes)),
    }
}

/// The limit of sentence-transformers, if there is one, and never more than the model has positions for.
fn max_tokens(folder: &Folder, family: &Family) -> Result<usize> {
    let sentence = folder.optional_json::<SentenceConfig>("sentence_bert_config.json")?.unwrap_or_default();
    let tokenizer = folder.optional_json::<TokenizerConfig>("tokenizer_config.json")?.unwrap_or_default();
    let of_tokenizer =
        tokenizer.model_max_length.filter(|length| (1.0..1e9).contains(length)).map(|length| length as usize);
    let limit = sentence.max_seq_length.or(of_tokenizer).unwrap_or(usize::MAX);
    Ok(limit.clamp(1, family.max_tokens()))
}
