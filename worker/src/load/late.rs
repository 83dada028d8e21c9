//! The tokenizer of a model for late interaction, whose queries are made otherwise than its documents.

use crate::failure::Result;
use crate::folder::Folder;
use crate::model::family::Family;
use crate::model::pipeline::{Expansion, LateTexts, max_tokens};
use crate::tokenize::{Fill, Queries, Resolved, Tokenizer};

const FILE: &str = "sentence_bert_config.json";

/// Gives a tokenizer what it needs for queries, or refuses by name what could not be computed.
pub(super) fn tokenizer(
    own: Tokenizer,
    late: &LateTexts,
    (place, family): (&Folder, &Family),
    resolved: &Resolved,
) -> Result<Tokenizer> {
    let fill = late.expansion.as_ref().map(|expansion| fill(&own, expansion, (place, family), resolved)).transpose()?;
    let max_tokens = max_tokens(late.queries, resolved.max_tokens, family.max_tokens());
    let own = own.whole(&late.prefixes).map_err(|error| place.corrupt("tokenizer.json", error))?;
    own.for_queries(Queries { max_tokens, fill }).map_err(|error| place.corrupt("tokenizer.json", error))
}

fn fill(
    own: &Tokenizer,
    expansion: &Expansion,
    (place, family): (&Folder, &Family),
    resolved: &Resolved,
) -> Result<Fill> {
    let refuse = |why: &str| Err(place.unsupported(FILE, format!("query_expansion: {why}")));
    if resolved.pads_start {
        return refuse("the tokenizer has padding_side left, so it would stand before the query");
    }
    if expansion.length > family.max_tokens() {
        return refuse("length is more than the model has positions for");
    }
    if !expansion.attend && !family.has_unseen_tokens() {
        return refuse(
            "attend false is not supported for this family, which computes nothing for tokens that none sees",
        );
    }
    let named = |setting: &str| own.id(resolved.named.get(setting)?);
    let token = match &expansion.token {
        Some(token) => own.id(token),
        None => named("mask_token").or_else(|| named("eos_token")),
    };
    match token {
        Some(token) => Ok(Fill { token, length: expansion.length, seen: expansion.attend }),
        None => refuse("its token is not in the vocabulary; set token to one that is"),
    }
}
