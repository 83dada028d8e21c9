//! Rerankers that continue texts: the score of a pair is how much likelier the network goes on with one word than with another, as
//! the module LogitScore of sentence-transformers has it.

use serde::Deserialize;

use super::{MODULES, Module, unsupported_module};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::settings;

const CONFIG: &str = "config.json";

/// The two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// By their numbers. With one word alone the score is its own number.
    Ids {
        /// The word of a document that fits.
        yes: usize,
        /// The word of one that does not.
        no: Option<usize>,
    },
    /// `yes` and `no`, as the vocabulary has them.
    YesOrNo,
}

/// `config.json` of a LogitScore module.
#[derive(Deserialize)]
struct LogitScore {
    true_token_id: usize,
    #[serde(default)]
    false_token_id: Option<usize>,
}

/// The one module after a Transformer that continues texts.
pub(super) fn answer(folder: &Folder, modules: &[Module]) -> Result<Answer> {
    const SUPPORTED: &str = "LogitScore alone after a Transformer with the task text-generation";
    let [module] = modules else {
        let why = format!("it has {} modules after the first; supported: {SUPPORTED}", modules.len());
        return Err(folder.unsupported(MODULES, why));
    };
    if module.name() != "LogitScore" {
        return Err(unsupported_module(folder, 1, module, SUPPORTED));
    }
    let place = folder.within(&module.path)?;
    settings::check(&place, CONFIG, settings::LOGIT_SCORE)?;
    let LogitScore { true_token_id: yes, false_token_id: no } = place.json(CONFIG)?;
    Ok(Answer::Ids { yes, no })
}
