//! The tokenizer that transformers makes of a folder: tokenizer.json, and what the files beside it change about it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::class::{Class, Options};
use super::readable::readable;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::settings;

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
const VOCABULARY: &str = "vocab.txt";

/// Settings with the name of a special token (`SPECIAL_TOKENS_ATTRIBUTES`).
const NAMED: &[&str] = &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Lists of more special tokens; the second is the name since transformers 5.
const MORE: &[&str] = &["additional_special_tokens", "extra_special_tokens"];

/// A tokenizer as it is used.
#[derive(Debug)]
pub struct Resolved {
    /// The content of tokenizer.json, after everything that changes it.
    pub json: Value,
    /// Most tokens that tokenizer_config.json allows, if it says so.
    pub max_tokens: Option<usize>,
    /// Cut a text that is too long at its start instead of its end.
    pub cut_start: bool,
    /// Padding would go before a text.
    pub pads_start: bool,
    /// Special tokens in a text are text.
    pub special_is_text: bool,
    /// The special tokens that the files or the class name.
    pub special: BTreeSet<String>,
    /// Those that have a setting of their own, such as `cls_token`, by its name.
    pub named: BTreeMap<&'static str, String>,
    /// A second text of a pair has token type 1.
    pub token_types: bool,
}

/// What config.json and the files of sentence-transformers say about the tokenizer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// `model_type` of config.json.
    pub model_type: &'a str,
    /// `tokenizer_class` of config.json.
    pub class: Option<&'a str>,
    /// `do_lower_case` of sentence_bert_config.json.
    pub lower: bool,
}

/// Reads the files and applies them as transformers does.
pub fn resolve(folder: &Folder, hints: Hints<'_>) -> Result<Resolved> {
    let files = Files::read(folder)?;
    let class = files.class(hints)?;
    let mut json = files.tokenizer(class)?;
    if class != Class::AsWritten {
        files.rebuild(class, &mut json)?;
    }
    files.add_tokens(class, &mut json)?;
    if hints.lower {
        lower(&mut json);
    }
    let side = files.config.get("truncation_side").and_then(Value::as_str);
    let cut_start = match side {
        None | Some("right") => false,
        Some("left") => true,
        Some(other) => return Err(files.refuse(format!("truncation_side {other} is neither left nor right"))),
    };
    // `max_len` is the older name.
    let length = files.config.get("model_max_length").or_else(|| files.config.get("max_len")).and_then(Value::as_f64);
    Ok(Resolved {
        json,
        // 1e30 stands for no limit.
        max_tokens: length.filter(|length| (1.0..1e9).contains(length)).map(|length| length as usize),
        cut_start,
        pads_start: files.config.get("padding_side").map_or(class.pads_start(), |side| side == "left"),
        special_is_text: files.flag("split_special_tokens")?.unwrap_or(false),
        special: files.special_names(class),
        named: files.named(class),
        token_types: files.gives_token_types(class),
    })
}

/// A cut that tokenizer.json asks for.
#[derive(Deserialize)]
struct Truncation {
    max_length: usize,
    #[serde(default)]
    direction: Option<String>,
}

/// tokenizer.json as the library `tokenizers` takes it alone: what other files say does not count, and no text gets special tokens.
/// So StaticEmbedding of sentence-transformers uses it.
pub fn resolve_alone(folder: &Folder) -> Result<Resolved> {
    let mut json: Value = folder.json(TOKENIZER)?;
    readable(&json).map_err(|why| folder.corrupt(TOKENIZER, why))?;
    let truncation: Option<Truncation> = serde_json::from_value(json["truncation"].clone())
        .map_err(|error| folder.corrupt(TOKENIZER, format!("truncation: {error}")))?;
    json["post_processor"] = Value::Null;
    Ok(Resolved {
        json,
        max_tokens: truncation.as_ref().map(|cut| cut.max_length),
        cut_start: truncation.is_some_and(|cut| cut.direction.as_deref() == Some("Left")),
        pads_start: false,
        special_is_text: false,
        special: BTreeSet::new(),
        named: BTreeMap::new(),
        token_types: false,
    })
}

/// The files of a tokenizer.
struct Files<'a> {
    folder: &'a Folder,
    config: Map<String, Value>,
}

impl<'a> Files<'a> {
    fn read(folder: &'a Folder) -> Result<Self> {
        let mut config: Map<String, Value> = folder.optional_json(CONFIG)?.unwrap_or_default();
        // Older files have the special tokens apart. They count only where added_tokens_decoder is missing.
        let special: Map<String, Value> = folder.optional_json(SPECIAL)?.unwrap_or_default();
        if !config.contains_key("added_tokens_decoder") {
            config.extend(special);
        }
        settings::check_known(folder, CONFIG, &config, settings::TOKENIZER)?;
        Ok(Self { folder, config })
    }

    fn refuse(&self, why: impl std::fmt::Display) -> belfry_crds::contract::load_failure::LoadFailure {
        self.folder.unsupported(CONFIG, why)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.config.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.folder.corrupt(CONFIG, format!("{name} is neither true nor false"))),
        }
    }

    fn gives_token_types(&self, class: Class) -> bool {
        let names = self.config.get("model_input_names").and_then(Value::as_array);
        names.map_or(class.gives_token_types(), |names| names.iter().any(|name| name == "token_type_ids"))
    }

    fn class(&self, hints: Hints<'_>) -> Result<Class> {
        let named = self.config.get("tokenizer_class").and_then(Value::as_str).or(hints.class);
        Class::of(hints.model_type, named).ok_or_else(|| {
            let why = format!(
                "tokenizer_class {} is not supported; if tokenizer.json holds everything, set it to PreTrainedTokenizerFast",
                named.unwrap_or_default()
            );
            self.refuse(why)
        })
    }

    /// tokenizer.json, or what stands for it where only a vocabulary is there.
    fn tokenizer(&self, class: Class) -> Result<Value> {
        let (path, words) = (TOKENIZER, VOCABULARY);
        if self.folder.has(path) || !self.folder.has(words) || class.model() != Some("WordPiece") {
            let json: Value = self.folder.json(path).map_err(|failure| self.explain_missing(failure))?;
            readable(&json).map_err(|why| self.folder.corrupt(path, why))?;
            return Ok(json);
        }
        let text =
            String::from_utf8(self.folder.read(words)?).map_err(|_| self.folder.corrupt(words, "it is not UTF-8"))?;
        // As transformers reads it: a token a line, and a line's number is its id.
        let vocab: Map<String, Value> =
            text.lines().enumerate().map(|(id, token)| (token.to_owned(), json!(id))).collect();
        Ok(json!({ "version": "1.0", "added_tokens": [], "model": { "type": "WordPiece", "vocab": vocab } }))
    }

    /// A folder may have the files of a slow tokenizer instead.
    fn explain_missing(
        &self,
        failure: belfry_crds::contract::load_failure::LoadFailure,
    ) -> belfry_crds::contract::load_failure::LoadFailure {
        const SLOW: &[&str] =
            &["sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model", "vocab.json", VOCABULARY];
        if self.folder.has(TOKENIZER) {
            return failure;
        }
        match SLOW.iter().find(|name| self.folder.has(name)) {
            Some(name) => {
                let place = self.folder.path("");
                let place = place.trim_end_matches('/');
                let message = format!(
                    "{}: is missing beside {name}; make it with: python -c \"from transformers import AutoTokenizer as T; \
                     T.from_pretrained('{place}').save_pretrained('{place}')\"",
                    self.folder.path(TOKENIZER)
                );
                crate::failure::failure(failure.reason, message)
            }
            None => failure,
        }
    }

    fn options(&self) -> Result<Options> {
        Ok(Options {
            do_lower_case: self.flag("do_lower_case")?,
            strip_accents: self.flag("strip_accents")?,
            tokenize_chinese_chars: self.flag("tokenize_chinese_chars")?,
            add_prefix_space: self.flag("add_prefix_space")?,
            keep_accents: self.flag("keep_accents")?,
            split_by_punct: self.flag("split_by_punct")?,
            trim_offsets: self.flag("trim_offsets")?,
        })
    }

    /// The name of a special token: the file's, or else the class's.
    fn special(&self, class: Class, setting: &str) -> Option<&str> {
        match self.config.get(setting) {
            Some(value) => content(value),
            None => class.special_tokens().iter().find(|(name, _)| *name == setting).map(|(_, token)| *token),
        }
    }

    /// The special tokens by their settings.
    fn named(&self, class: Class) -> BTreeMap<&'static str, String> {
        let named = |setting: &&'static str| Some((*setting, self.special(class, setting)?.to_owned()));
        NAMED.iter().filter_map(named).collect()
    }

    fn special_names(&self, class: Class) -> BTreeSet<String> {
        let more = MORE.iter().filter_map(|list| self.config.get(*list)?.as_array()).flatten().filter_map(content);
        NAMED.iter().filter_map(|setting| self.special(class, setting)).chain(more).map(ToOwned::to_owned).collect()
    }

    /// Puts the class's parts around the vocabulary.
    fn rebuild(&self, class: Class, json: &mut Value) -> Result<()> {
        let path = if self.folder.has(TOKENIZER) { TOKENIZER } else { VOCABULARY };
        let options = self.options()?;
        let model = json.get("model").and_then(Value::as_object).cloned().unwrap_or_default();
        // The class takes the vocabulary of any model that writes it in the same form.
        let fits = match class.model() {
            Some("Unigram") => model.get("vocab").is_some_and(Value::is_array),
            _ => model.get("vocab").is_some_and(Value::is_object),
        };
        if !fits {
            let kind = model.get("type").and_then(Value::as_str).unwrap_or("of no kind");
            let why = format!(
                "its model is {kind}, and the class of the tokenizer reads {}; set tokenizer_class in {CONFIG} to PreTrainedTokenizerFast \
                 if the file holds everything",
                class.model().unwrap_or_default()
            );
            return Err(self.folder.unsupported(path, why));
        }
        let unk = self.special(class, "unk_token").unwrap_or("[UNK]").to_owned();
        let rebuilt = class.rebuilt(&model, &unk, id_in(json, &unk));
        json["model"] = rebuilt.ok_or_else(|| self.folder.corrupt(path, "it has no vocabulary"))?;
        let charsmap = charsmap(json.get("normalizer")).cloned();
        json["normalizer"] = class.normalizer(&options, charsmap.as_ref());
        json["pre_tokenizer"] = class.pre_tokenizer(&options);
        json["decoder"] = class.decoder(&options);
        let (first, last) = class.ends();
        let token = |setting: &str| {
            let name = self.special(class, setting).unwrap_or_default().to_owned();
            let missing = || self.folder.unsupported(path, format!("{setting} {name} is not in its vocabulary"));
            id_in(json, &name).map(|id| (name.clone(), id)).ok_or_else(missing)
        };
        let keeps = class.keeps_post_processor() && json.get("post_processor").is_some_and(|post| !post.is_null());
        if !keeps && class.post_processor(&options, ("", 0), ("", 0)).is_some() {
            let (first, last) = (token(first)?, token(last)?);
            if let Some(post) = class.post_processor(&options, (&first.0, first.1), (&last.0, last.1)) {
                json["post_processor"] = post;
            }
        }
        Ok(())
    }

    /// Adds the special tokens that the files beside tokenizer.json name.
    fn add_tokens(&self, class: Class, json: &mut Value) -> Result<()> {
        let own = json.get("added_tokens").and_then(Value::as_array).cloned().unwrap_or_default();
        let decoder = self.decoder(json)?;
        // A class that is rebuilt takes the decoder's tokens instead of the file's; one that is not, over them.
        let mut tokens = if class == Class::AsWritten || decoder.is_none() { own } else { Vec::new() };
        for token in decoder.into_iter().flatten() {
            put(&mut tokens, token, true);
        }
        let mut add = |token: Value| put(&mut tokens, token, class.special_tokens_are_plain());
        let special = |content: &str, id: u64, lstrip: bool| {
            json!({
                "id": id, "content": content, "single_word": false, "lstrip": lstrip, "rstrip": false,
                "normalized": false, "special": true,
            })
        };
        for setting in NAMED {
            // One that the vocabulary lacks could only be in a text, and no row of the model belongs to it.
            if let Some(name) = self.special(class, setting)
                && let Some(id) = id_in(json, name)
            {
                add(special(name, id, *setting == "mask_token" && class.mask_takes_space()));
            }
        }
        for list in MORE {
            for value in self.config.get(*list).and_then(Value::as_array).into_iter().flatten() {
                let Some(name) = content(value) else { continue };
                let Some(id) = id_in(json, name) else {
                    return Err(self.refuse(format!("{list} has {name}, which {TOKENIZER} does not have")));
                };
                add(special(name, id, false));
            }
        }
        tokens.sort_by_key(|token| token["id"].as_u64());
        json["added_tokens"] = Value::Array(tokens);
        Ok(())
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

/// A special token is written as a string, or as an object with its flags.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// A token's id in the vocabulary, or among the added tokens.
fn id_in(json: &Value, token: &str) -> Option<u64> {
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

/// The table of characters of a SentencePiece model, wherever the normalizer has it.
fn charsmap(normalizer: Option<&Value>) -> Option<&Value> {
    let normalizer = normalizer?;
    let list = normalizer.get("normalizers").and_then(Value::as_array);
    list.into_iter().flatten().chain([normalizer]).find_map(|one| one.get("precompiled_charsmap"))
}

/// Lower-cases before everything else, unless the normalizer does so by a part of its own.
fn lower(json: &mut Value) {
    let is_lower = |one: &Value| one["type"] == "Lowercase";
    let normalizer = json["normalizer"].take();
    let mut list = match normalizer {
        Value::Null => Vec::new(),
        Value::Object(mut sequence) if sequence.get("type") == Some(&json!("Sequence")) => {
            sequence.remove("normalizers").and_then(|list| list.as_array().cloned()).unwrap_or_default()
        }
        one => vec![one],
    };
    if !list.iter().any(is_lower) {
        list.insert(0, json!({ "type": "Lowercase" }));
    }
    json["normalizer"] = json!({ "type": "Sequence", "normalizers": list });
}
