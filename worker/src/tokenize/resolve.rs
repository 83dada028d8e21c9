//! The tokenizer that transformers makes of a folder: tokenizer.json, and what the files beside it change about it.

mod special;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::class::{Class, Options};
use super::readable::{readable, repeatable};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::settings;
use special::id_in;

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const VOCABULARY: &str = "vocab.txt";

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
    /// Those of them that the vocabulary lacks, in the order in which transformers appends them to it.
    pub lacking: Vec<AddedToken>,
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
    if class == Class::AsWritten {
        repeatable(&json).map_err(|why| folder.unsupported(TOKENIZER, why))?;
    } else {
        files.rebuild(class, &mut json)?;
    }
    files.add_tokens(class, &mut json)?;
    if hints.lower {
        lower(&mut json);
    }
    let cut_start = files.cuts_start(&json)?;
    let (max_tokens, lacking) = (files.max_tokens()?, files.lacking(class, &json));
    Ok(Resolved {
        json,
        max_tokens,
        cut_start,
        pads_start: files.config.get("padding_side").map_or(class.pads_start(), |side| side == "left"),
        special_is_text: files.flag("split_special_tokens")?.unwrap_or(false),
        special: files.special_names(class),
        named: files.named(class),
        lacking,
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
    repeatable(&json).map_err(|why| folder.unsupported(TOKENIZER, why))?;
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
        lacking: Vec::new(),
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

    /// Most tokens of a text, if the file has a limit. A number of a billion or more, such as 1e30, stands for none.
    fn max_tokens(&self) -> Result<Option<usize>> {
        // `max_len` is the older name.
        let given = ["model_max_length", "max_len"].into_iter().find_map(|name| Some((name, self.config.get(name)?)));
        match given {
            None | Some((_, Value::Null)) => Ok(None),
            Some((_, value)) if value.as_f64().is_some_and(|length| length >= 1e9) => Ok(None),
            Some((name, value)) => match value.as_u64() {
                Some(length @ 1..) => Ok(Some(length as usize)),
                _ => {
                    Err(self.folder.corrupt(CONFIG, format!("{name} is {value}; it must be a whole number from 1 on")))
                }
            },
        }
    }

    /// Whether a text loses its start. Where the file does not say, tokenizer.json does, whose other settings of a cut do not count.
    fn cuts_start(&self, json: &Value) -> Result<bool> {
        let own = json.pointer("/truncation/direction").and_then(Value::as_str).map(str::to_lowercase);
        match self.config.get("truncation_side").and_then(Value::as_str).or(own.as_deref()) {
            None | Some("right") => Ok(false),
            Some("left") => Ok(true),
            Some(other) => Err(self.refuse(format!("truncation_side {other} is neither left nor right"))),
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
