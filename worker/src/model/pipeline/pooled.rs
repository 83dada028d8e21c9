//! `config.json` of a Pooling module.

use serde::Deserialize;
use serde_json::Value;

use crate::failure::Result;
use crate::folder::Folder;
use crate::model::pooling::{Mode, Pooling};
use crate::model::settings;

const CONFIG: &str = "config.json";

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

pub(super) fn modes(place: &Folder) -> Result<(Pooling, bool)> {
    settings::check(place, CONFIG, settings::POOLING)?;
    let config: PoolingConfig = place.json(CONFIG)?;
    let from_mode = match &config.pooling_mode {
        None => Vec::new(),
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) if !names.is_empty() && names.iter().all(Value::is_string) => {
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
