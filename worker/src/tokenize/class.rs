//! Tokenizer classes of transformers: what each of them puts around a vocabulary.
//!
//! Since version 5 transformers takes only the vocabulary out of tokenizer.json for a class that has a constructor of its own. Everything
//! else follows from the class and from tokenizer_config.json (`models/*/tokenization_*.py`). Version 4 came to the same result in other
//! ways for every tokenizer that it had saved itself.

use serde_json::{Map, Value, json};

/// A class of tokenizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// tokenizer.json is taken as it is.
    AsWritten,
    Bert,
    MpNet,
    Roberta,
    XlmRoberta,
    Camembert,
    Albert,
    DebertaV2,
    Qwen2,
    Gemma,
}

/// Names of classes, without `Fast` at the end.
const NAMES: &[(&str, Class)] = &[
    ("PreTrainedTokenizer", Class::AsWritten),
    ("TokenizersBackend", Class::AsWritten),
    ("BertTokenizer", Class::Bert),
    ("DistilBertTokenizer", Class::Bert),
    ("ElectraTokenizer", Class::Bert),
    ("MPNetTokenizer", Class::MpNet),
    ("RobertaTokenizer", Class::Roberta),
    ("XLMRobertaTokenizer", Class::XlmRoberta),
    ("CamembertTokenizer", Class::Camembert),
    ("AlbertTokenizer", Class::Albert),
    ("DebertaV2Tokenizer", Class::DebertaV2),
    ("Qwen2Tokenizer", Class::Qwen2),
    ("GemmaTokenizer", Class::Gemma),
];

/// The class that transformers registers for a `model_type`.
const REGISTERED: &[(&str, Class)] = &[
    ("bert", Class::Bert),
    ("distilbert", Class::Bert),
    ("electra", Class::Bert),
    ("nomic_bert", Class::Bert),
    ("gte", Class::XlmRoberta),
    ("mpnet", Class::MpNet),
    ("roberta", Class::Roberta),
    ("xlm-roberta", Class::XlmRoberta),
    ("camembert", Class::Camembert),
    ("albert", Class::Albert),
    ("deberta-v2", Class::DebertaV2),
    ("qwen2", Class::Qwen2),
    ("qwen3", Class::Qwen2),
    ("gemma3_text", Class::Gemma),
    ("modernbert", Class::AsWritten),
];

/// Types whose files name a class that is known to be wrong; the registered class is taken
/// (`MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS`).
const WRONG_ON_HUB: &[&str] = &["modernbert", "qwen2"];

impl Class {
    /// The class that transformers chooses for a model of this type whose files name this class, or `None` if the name is not known here.
    pub(super) fn of(model_type: &str, named: Option<&str>) -> Option<Self> {
        let find =
            |table: &[(&str, Self)], name: &str| table.iter().find(|(own, _)| *own == name).map(|(_, class)| *class);
        let registered = find(REGISTERED, model_type);
        let Some(named) = named else { return Some(registered.unwrap_or(Self::AsWritten)) };
        let named = find(NAMES, named.strip_suffix("Fast").unwrap_or(named))?;
        Some(match registered {
            Some(Self::AsWritten) => Self::AsWritten,
            Some(registered) if WRONG_ON_HUB.contains(&model_type) => registered,
            _ => named,
        })
    }

    /// The kind of model that the class reads, by its name in tokenizer.json; `None` for any.
    pub(super) const fn model(self) -> Option<&'static str> {
        match self {
            Self::AsWritten => None,
            Self::Bert | Self::MpNet => Some("WordPiece"),
            Self::Roberta | Self::Qwen2 | Self::Gemma => Some("BPE"),
            Self::XlmRoberta | Self::Camembert | Self::Albert | Self::DebertaV2 => Some("Unigram"),
        }
    }

    /// Special tokens by the name of their setting, where tokenizer_config.json has none.
    pub(super) const fn special_tokens(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AsWritten => &[],
            Self::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::DebertaV2 => &[
                ("bos_token", "[CLS]"),
                ("eos_token", "[SEP]"),
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::Albert => &[
                ("bos_token", "[CLS]"),
                ("eos_token", "[SEP]"),
                ("unk_token", "<unk>"),
                ("sep_token", "[SEP]"),
                ("pad_token", "<pad>"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::MpNet => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "[UNK]"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Self::Roberta | Self::XlmRoberta | Self::Camembert => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Self::Qwen2 => {
                &[("unk_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")]
            }
            Self::Gemma => &[
                ("unk_token", "<unk>"),
                ("bos_token", "<bos>"),
                ("eos_token", "<eos>"),
                ("pad_token", "<pad>"),
                ("mask_token", "<mask>"),
            ],
        }
    }

    /// Settings of the tokens at the start and at the end of a text.
    pub(super) const fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::XlmRoberta | Self::Camembert => ("bos_token", "eos_token"),
            _ => ("cls_token", "sep_token"),
        }
    }

    /// Whether the model is given token types (`model_input_names`).
    pub(super) const fn gives_token_types(self) -> bool {
        matches!(self, Self::Bert | Self::DebertaV2)
    }

    /// Whether the class takes special tokens without the blanks around them, whatever the files say.
    pub(super) const fn special_tokens_are_plain(self) -> bool {
        matches!(self, Self::Qwen2)
    }

    /// Whether the class leaves a post-processor of tokenizer.json as it is.
    pub(super) const fn keeps_post_processor(self) -> bool {
        matches!(self, Self::Albert)
    }

    /// Whether padding goes before a text, where tokenizer_config.json does not say.
    pub(super) const fn pads_start(self) -> bool {
        matches!(self, Self::Gemma)
    }

    /// Whether the class makes its mask token take the space before it.
    pub(super) const fn mask_takes_space(self) -> bool {
        matches!(self, Self::MpNet | Self::Camembert)
    }
}

/// Settings of tokenizer_config.json that a class may read.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) do_lower_case: Option<bool>,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    pub(super) add_prefix_space: Option<bool>,
    pub(super) keep_accents: Option<bool>,
    pub(super) split_by_punct: Option<bool>,
    pub(super) trim_offsets: Option<bool>,
}

/// The regular expression of `models/qwen2/tokenization_qwen2.py`.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A special token and its id.
pub(super) type Token<'a> = (&'a str, u64);

/// The parts of tokenizer.json that a class puts there. `charsmap` is the file's own table of characters, if it has one.
impl Class {
    pub(super) fn normalizer(self, options: &Options, charsmap: Option<&Value>) -> Value {
        let precompiled = charsmap.map(|map| json!({ "type": "Precompiled", "precompiled_charsmap": map }));
        let sequence = |normalizers: Vec<Value>| json!({ "type": "Sequence", "normalizers": normalizers });
        let replace =
            |pattern: Value, content: &str| json!({ "type": "Replace", "pattern": pattern, "content": content });
        match self {
            Self::AsWritten | Self::Roberta => Value::Null,
            Self::Bert | Self::MpNet => json!({
                "type": "BertNormalizer",
                "clean_text": true,
                "handle_chinese_chars": options.tokenize_chinese_chars.unwrap_or(true),
                "strip_accents": options.strip_accents,
                "lowercase": options.do_lower_case.unwrap_or(true),
            }),
            Self::XlmRoberta | Self::Camembert => precompiled.unwrap_or(Value::Null),
            Self::Albert => {
                let mut list = vec![replace(json!({ "String": "``" }), "\""), replace(json!({ "String": "''" }), "\"")];
                if !options.keep_accents.unwrap_or(false) {
                    list.extend([json!({ "type": "NFKD" }), json!({ "type": "StripAccents" })]);
                }
                list.extend(options.do_lower_case.unwrap_or(true).then(|| json!({ "type": "Lowercase" })));
                list.extend(precompiled);
                sequence(list)
            }
            Self::DebertaV2 => {
                let mut list = Vec::new();
                list.extend(options.do_lower_case.unwrap_or(false).then(|| json!({ "type": "Lowercase" })));
                list.push(replace(json!({ "Regex": r"\s{2,}|[\n\r\t]" }), " "));
                list.push(json!({ "type": "NFC" }));
                list.push(json!({ "type": "Strip", "strip_left": false, "strip_right": true }));
                sequence(list)
            }
            Self::Qwen2 => json!({ "type": "NFC" }),
            Self::Gemma => replace(json!({ "String": " " }), "▁"),
        }
    }

    pub(super) fn pre_tokenizer(self, options: &Options) -> Value {
        let sequence = |list: Vec<Value>| json!({ "type": "Sequence", "pretokenizers": list });
        let metaspace =
            |scheme: &str| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true });
        let byte_level = |space: bool, regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": regex });
        let isolated = |regex: &str| json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
        let space = options.add_prefix_space;
        match self {
            Self::AsWritten => Value::Null,
            Self::Bert | Self::MpNet => json!({ "type": "BertPreTokenizer" }),
            Self::Roberta => byte_level(space.unwrap_or(false), true),
            Self::XlmRoberta | Self::Camembert | Self::Albert => {
                let scheme = if space.unwrap_or(true) { "always" } else { "never" };
                sequence(vec![json!({ "type": "WhitespaceSplit" }), metaspace(scheme)])
            }
            Self::DebertaV2 => {
                let punctuation = json!({ "type": "Punctuation", "behavior": "Isolated" });
                let mut list = Vec::new();
                list.extend(options.split_by_punct.unwrap_or(false).then_some(punctuation));
                list.push(metaspace(if space.unwrap_or(true) { "always" } else { "first" }));
                sequence(list)
            }
            Self::Qwen2 => sequence(vec![isolated(QWEN2), byte_level(space.unwrap_or(false), false)]),
            Self::Gemma => json!({
                "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious", "invert": false,
            }),
        }
    }

    /// The decoder.
    pub(super) fn decoder(self, options: &Options) -> Value {
        let space = options.add_prefix_space.unwrap_or(true);
        let metaspace = |otherwise: &str| {
            let scheme = if space { "always" } else { otherwise };
            json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true })
        };
        match self {
            Self::AsWritten => Value::Null,
            Self::Bert | Self::MpNet => json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
            Self::Roberta | Self::Qwen2 => {
                json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true })
            }
            Self::XlmRoberta | Self::Camembert | Self::Albert => metaspace("never"),
            Self::DebertaV2 => metaspace("first"),
            Self::Gemma => json!({ "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                { "type": "ByteFallback" },
                { "type": "Fuse" },
            ] }),
        }
    }

    /// The post-processor, or `None` where that of tokenizer.json stays.
    pub(super) fn post_processor(self, options: &Options, cls: Token<'_>, sep: Token<'_>) -> Option<Value> {
        let roberta = |trim: bool, space: bool| {
            json!({
                "type": "RobertaProcessing", "sep": [sep.0, sep.1], "cls": [cls.0, cls.1], "trim_offsets": trim,
                "add_prefix_space": space,
            })
        };
        match self {
            Self::AsWritten | Self::Qwen2 | Self::Gemma => None,
            Self::Bert | Self::DebertaV2 | Self::Albert => Some(template(cls, sep, "CLS A SEP B1 SEP1")),
            Self::XlmRoberta | Self::Camembert => Some(template(cls, sep, "CLS A SEP SEP B SEP")),
            Self::Roberta => {
                Some(roberta(options.trim_offsets.unwrap_or(true), options.add_prefix_space.unwrap_or(false)))
            }
            Self::MpNet => Some(roberta(true, false)),
        }
    }

    /// The model of tokenizer.json with this class's own settings around the file's vocabulary.
    pub(super) fn rebuilt(self, model: &Map<String, Value>, unk: &str, unk_id: Option<u64>) -> Option<Value> {
        let vocab = model.get("vocab")?;
        let merges = model.get("merges");
        let bpe = |unk: Option<&str>, affix: Option<&str>, fuse: bool, bytes: bool| {
            json!({
                "type": "BPE", "dropout": null, "unk_token": unk, "continuing_subword_prefix": affix,
                "end_of_word_suffix": affix, "fuse_unk": fuse, "byte_fallback": bytes, "ignore_merges": false,
                "vocab": vocab, "merges": merges,
            })
        };
        let unigram =
            |id: Option<u64>| json!({ "type": "Unigram", "unk_id": id, "vocab": vocab, "byte_fallback": false });
        Some(match self {
            Self::AsWritten => return None,
            Self::Bert | Self::MpNet => json!({
                "type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocab,
            }),
            Self::Roberta => bpe(None, Some(""), false, false),
            Self::Qwen2 => bpe(None, Some(""), false, false),
            Self::Gemma => bpe(Some(unk), None, true, true),
            Self::XlmRoberta => unigram(Some(3)),
            Self::Camembert => unigram(Some(unk_id.unwrap_or(0))),
            Self::Albert => unigram(Some(1)),
            Self::DebertaV2 => unigram(Some(unk_id.unwrap_or(1))),
        })
    }
}

/// Template processing. In `pair`, `CLS` and `SEP` are the special tokens, `A` and `B` the texts; a 1 at the end is the token type.
/// A single text ends with the first `SEP`.
fn template(cls: Token<'_>, sep: Token<'_>, pair: &str) -> Value {
    let piece = |word: &str| {
        let (name, kind) = word.strip_suffix('1').map_or((word, 0), |name| (name, 1));
        match name {
            "CLS" => json!({ "SpecialToken": { "id": cls.0, "type_id": kind } }),
            "SEP" => json!({ "SpecialToken": { "id": sep.0, "type_id": kind } }),
            text => json!({ "Sequence": { "id": text, "type_id": kind } }),
        }
    };
    let pieces: Vec<Value> = pair.split(' ').map(piece).collect();
    let special = |(token, id): Token<'_>| (token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] }));
    let tokens: Map<String, Value> = [cls, sep].map(special).into_iter().collect();
    json!({ "type": "TemplateProcessing", "single": pieces[..3], "pair": pieces, "special_tokens": tokens })
}
