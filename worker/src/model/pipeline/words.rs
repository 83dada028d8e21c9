//! The module after a Transformer that predicts words, as SparseEncoder of sentence-transformers has it.

use serde::Deserialize;

use super::{MODULES, Module, Purpose, unsupported_module};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::heads::{WordPooling, WordWeight};
use crate::model::settings;

const CONFIG: &str = "config.json";

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

/// The one module after the Transformer of a SparseEncoder.
pub(super) fn splade(folder: &Folder, modules: &[Module]) -> Result<Purpose> {
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
