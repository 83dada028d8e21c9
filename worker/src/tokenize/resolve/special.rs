//! Special tokens: what the files beside tokenizer.json say about them, and what the class says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::{Class, Files, TOKENIZER};
use crate::failure::Result;

const ADDED: &str = "added_tokens.json";

/// Settings with the name of a special token (`SPECIAL_TOKENS_ATTRIBUTES`).
const NAMED: &[&str] = &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Lists of more special tokens; the second is the name since transformers 5.
const MORE: &[&str] = &["additional_special_tokens", "extra_special_tokens"];

impl Files<'_> {
    /// The name of a special token: the file's, or else the class's.
    pub(super) fn special(&self, class: Class, setting: &str) -> Option<&str> {
        match self.config.get(setting) {
            Some(value) => content(value),
            None => class.special_tokens().iter().find(|(name, _)| *name == setting).map(|(_, token)| *token),
        }
    }

    /// The special tokens by their settings.
    pub(super) fn named(&self, class: Class) -> BTreeMap<&'static str, String> {
        let named = |setting: &&'static str| Some((*setting, self.special(class, setting)?.to_owned()));
        NAMED.iter().filter_map(named).collect()
    }

    pub(super) fn special_names(&self, class: Class) -> BTreeSet<String> {
        let more = MORE.iter().filter_map(|list| self.config.get(*list)?.as_array()).flatten().filter_map(content);
        NAMED.iter().filter_map(|setting| self.special(class, setting)).chain(more).map(ToOwned::to_owned).collect()
    }

    /// Adds the special tokens that the files beside tokenizer.json name.
    pub(super) fn add_tokens(&self, class: Class, json: &mut Value) -> Result<()> {
        let own = json.get("added_tokens").and_then(Value::as_array).cloned().unwrap_or_default();
        let decoder = self.decoder(json)?;
        // A class that is rebuilt takes the decoder's tokens instead of the file's; one that is not, over them.
        let mut tokens = if class == Class::AsWritten || decoder.is_none() { own } else { Vec::new() };
        for token in decoder.into_iter().flatten() {
            put(&mut tokens, token, true);
        }
        let mut add = |token: &AddedToken, id: u64| {
            let AddedToken { content, single_word, lstrip, rstrip, normalized, .. } = token;
            let token = json!({
                "id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
                "normalized": normalized, "special": true,
            });
            put(&mut tokens, token, class.special_tokens_are_plain());
        };
        for setting in NAMED {
            // One that the vocabulary lacks is appended to it where the model has a row for it: see `lacking`.
            if let Some(token) = self.token(class, setting)
                && let Some(id) = id_in(json, &token.content)
            {
                add(&token, id);
            }
        }
        for list in MORE {
            for value in self.config.get(*list).and_then(Value::as_array).into_iter().flatten() {
                let Some(name) = content(value) else { continue };
                let Some(id) = id_in(json, name) else {
                    return Err(self.refuse(format!("{list} has {name}, which {TOKENIZER} does not have")));
                };
                add(&flagged(name, Some(value), class, false), id);
            }
        }
        tokens.sort_by_key(|token| token["id"].as_u64());
        json["added_tokens"] = Value::Array(tokens);
        Ok(())
    }

    /// The special token of a setting, with its flags.
    fn token(&self, class: Class, setting: &str) -> Option<AddedToken> {
        let name = self.special(class, setting).filter(|name| !name.is_empty())?;
        Some(flagged(name, self.config.get(setting), class, setting == "mask_token" && class.mask_takes_space()))
    }

    /// Special tokens that the vocabulary lacks. transformers appends them, so that they take rows that no word has.
    pub(super) fn lacking(&self, class: Class, json: &Value) -> Vec<AddedToken> {
        let tokens = NAMED.iter().filter_map(|setting| self.token(class, setting));
        tokens.filter(|token| id_in(json, &token.content).is_none()).collect()
    }

    /// The tokens of `added_tokens_decoder`, or of the older added_tokens.json, as tokenizer.json writes them.
    fn decoder(&self, json: &Value) -> Result<Option<Vec<Value>>> {
        let older: Option<Map<String, Value>> = self.folder.optional_json(ADDED)?;
        let decoder = self.config.get("added_tokens_decoder").and_then(Value::as_object);
        for (name, id) in older.iter().flatten() {
            if id_in(json, name) != id.as_u64() {
                let why = format!("{name} has id {id} there, and another or none in {TOKENIZER}");
                return Err(self.folder.unsupported(ADDED, why));
            }
        }
        let Some(decoder) = decoder else { return Ok(None) };
        let token = |(id, value): (&String, &Value)| {
            let name = content(value).unwrap_or_default();
            if id_in(json, name).map(|own| own.to_string()).as_ref() != Some(id) {
                return Err(
                    self.refuse(format!("added_tokens_decoder gives {name} id {id}, and {TOKENIZER} another or none"))
                );
            }
            let flag = |key: &str, default: bool| value.get(key).and_then(Value::as_bool).unwrap_or(default);
            let special = flag("special", false);
            Ok(json!({
                "id": id_in(json, name), "content": name, "single_word": flag("single_word", false),
                "lstrip": flag("lstrip", false), "rstrip": flag("rstrip", false),
                "normalized": flag("normalized", !special), "special": special,
            }))
        };
        decoder.iter().map(token).collect::<Result<Vec<_>>>().map(Some)
    }
}

/// Adds a token; one that is there stays, unless it is to be replaced.
fn put(tokens: &mut Vec<Value>, token: Value, replace: bool) {
    match tokens.iter_mut().find(|own| own["content"] == token["content"]) {
        Some(own) if replace => *own = token,
        Some(_) => {}
        None => tokens.push(token),
    }
}

/// A special token with the flags that an object in a file gives it. One that is a string takes the space before it where its class says
/// so, and some classes take no flags.
fn flagged(name: &str, given: Option<&Value>, class: Class, takes_space: bool) -> AddedToken {
    let token = AddedToken::from(name, true).normalized(false);
    match given.and_then(Value::as_object) {
        _ if class.special_tokens_are_plain() => token,
        None => token.lstrip(takes_space),
        Some(object) => {
            let flag = |key: &str| object.get(key).and_then(Value::as_bool);
            let is_set = |key: &str| flag(key).unwrap_or(false);
            let token = token.lstrip(is_set("lstrip")).rstrip(is_set("rstrip")).single_word(is_set("single_word"));
            token.normalized(flag("normalized").unwrap_or(!is_set("special")))
        }
    }
}

/// A special token is written as a string, or as an object with its flags.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// A token's id in the vocabulary, or among the added tokens.
pub(super) fn id_in(json: &Value, token: &str) -> Option<u64> {
    let added = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = || added.clone().find(|own| own["content"] == token)?.get("id")?.as_u64();
    match json.get("model")?.get("vocab")? {
        Value::Object(vocab) => vocab.get(token).and_then(Value::as_u64),
        Value::Array(vocab) => {
            vocab.iter().position(|piece| piece.get(0).and_then(Value::as_str) == Some(token)).map(|id| id as u64)
        }
        _ => None,
    }
    .or_else(added)
}
