//! Every setting in a model's folder that can change its vectors: which are honoured, which do no harm, and which refuse the load.
//!
//! `worker/parity/settings.py`, which `make parity` runs, reads the same names out of the libraries: a setting on which one acts is
//! never ignored.

use serde_json::{Map, Value};

use crate::failure::Result;
use crate::folder::Folder;

/// What the worker does with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It has the effect that it has in the library.
    Honoured,
    /// It changes no vector: it is about training, saving, speed, or other tasks.
    Harmless,
    /// The load is refused, unless the value says nothing: null, false, 0, or empty.
    Refused,
    /// The load is refused, unless the value is null or this one.
    Only(&'static str),
}

/// A setting by its name, with its treatment.
pub type Setting = (&'static str, Treatment);

use Treatment::{Harmless, Honoured, Only, Refused};

/// `config.json` of a Pooling module.
pub const POOLING: &[Setting] = &[
    ("embedding_dimension", Harmless),
    ("word_embedding_dimension", Harmless),
    ("pooling_mode", Honoured),
    ("pooling_mode_cls_token", Honoured),
    ("pooling_mode_max_tokens", Honoured),
    ("pooling_mode_mean_tokens", Honoured),
    ("pooling_mode_mean_sqrt_len_tokens", Honoured),
    ("pooling_mode_weightedmean_tokens", Honoured),
    ("pooling_mode_lasttoken", Honoured),
    ("include_prompt", Honoured),
];

/// `config.json` of a Dense module.
pub const DENSE: &[Setting] = &[
    ("in_features", Honoured),
    ("out_features", Honoured),
    ("bias", Honoured),
    ("activation_function", Honoured),
    ("use_residual", Honoured),
    ("module_input_name", Only("sentence_embedding")),
    ("module_output_name", Only("sentence_embedding")),
    ("init_weight", Refused),
    ("init_bias", Refused),
];

/// The same of a model for late interaction, where the names of input and output differ.
pub const DENSE_OF_TOKENS: &[Setting] =
    &[("module_input_name", Only("token_embeddings")), ("module_output_name", Only("token_embeddings"))];

/// `config.json` of a Normalize module.
pub const NORMALIZE: &[Setting] = &[("module_input_name", Honoured), ("module_output_name", Honoured)];

/// The same where only the vectors of texts are brought to length 1.
pub const NORMALIZE_OF_TEXTS: &[Setting] =
    &[("module_input_name", Only("sentence_embedding")), ("module_output_name", Only("sentence_embedding"))];

/// `config.json` of a MultiVectorMask module.
pub const MASK: &[Setting] =
    &[("skiplist_words", Honoured), ("skiplist_tasks", Honoured), ("keep_only_token_ids", Refused)];

/// `config.json` of a SpladePooling module.
pub const SPLADE: &[Setting] = &[
    ("pooling_strategy", Honoured),
    ("activation_function", Honoured),
    ("embedding_dimension", Harmless),
    ("word_embedding_dimension", Harmless),
    ("chunk_size", Harmless),
];

/// `config.json` of a LogitScore module.
pub const LOGIT_SCORE: &[Setting] =
    &[("true_token_id", Honoured), ("false_token_id", Honoured), ("module_input_name", Only("causal_logits"))];

/// `config.json` of a LayerNorm module.
pub const LAYER_NORM: &[Setting] = &[("dimension", Honoured)];

/// `config.json` of a Dropout module.
pub const DROPOUT: &[Setting] = &[("dropout", Harmless)];

/// `sentence_bert_config.json` and its sister names.
pub const SENTENCE: &[Setting] = &[
    ("max_seq_length", Honoured),
    ("do_lower_case", Honoured),
    ("processing_kwargs", Honoured),
    ("transformer_task", Honoured),
    ("modality_config", Honoured),
    ("module_output_name", Honoured),
    ("unpad_inputs", Harmless),
    ("query_length", Refused),
    ("document_length", Refused),
    ("query_expansion", Refused),
    ("model_args", Honoured),
    ("model_kwargs", Honoured),
    ("tokenizer_args", Refused),
    ("processor_kwargs", Refused),
    ("config_args", Refused),
    ("config_kwargs", Refused),
    ("tokenizer_name_or_path", Refused),
    ("backend", Only("torch")),
    ("model_name_or_path", Refused),
];

/// What `sentence_bert_config.json` says about queries and documents; honoured for models for late interaction.
pub const LATE_TEXTS: &[Setting] =
    &[("query_length", Honoured), ("document_length", Honoured), ("query_expansion", Honoured)];

/// What `config_sentence_transformers.json` of a model for late interaction has beside the usual settings, most of it from PyLate.
pub const LATE: &[Setting] = &[
    ("query_length", Honoured),
    ("document_length", Honoured),
    ("query_expansion", Honoured),
    ("do_query_expansion", Honoured),
    ("attend_to_expansion_tokens", Honoured),
    ("attend_to_mask_tokens", Honoured),
    ("query_prefix", Honoured),
    ("document_prefix", Honoured),
    ("skiplist_words", Honoured),
    ("truncate_dim", Refused),
];

/// `artifact.metadata` of the original ColBERT. It holds all settings of a run of training; those that are not here are about
/// training, indexing and searching.
pub const ARTIFACT: &[Setting] = &[
    ("query_token_id", Honoured),
    ("doc_token_id", Honoured),
    ("query_maxlen", Honoured),
    ("doc_maxlen", Honoured),
    ("attend_to_mask_tokens", Honoured),
    ("mask_punctuation", Honoured),
    ("similarity", Only("cosine")),
];

/// `config_sentence_transformers.json`.
pub const MODEL: &[Setting] = &[
    ("__version__", Harmless),
    ("requirements", Harmless),
    ("model_type", Honoured),
    ("prompts", Honoured),
    ("default_prompt_name", Honoured),
    ("truncate_dim", Honoured),
    ("similarity_fn_name", Honoured),
    ("activation_fn", Honoured),
    ("keep_in_fp32_modules", Refused),
    ("max_active_dims", Refused),
];

/// `tokenizer_config.json` and `special_tokens_map.json`. What is not here is stored by transformers and never used to tokenize.
pub const TOKENIZER: &[Setting] = &[
    ("tokenizer_class", Honoured),
    ("model_max_length", Honoured),
    ("max_len", Honoured),
    ("truncation_side", Honoured),
    ("padding_side", Harmless),
    ("pad_to_multiple_of", Harmless),
    ("pad_token_type_id", Harmless),
    ("model_input_names", Honoured),
    ("split_special_tokens", Honoured),
    ("added_tokens_decoder", Honoured),
    ("additional_special_tokens", Honoured),
    ("extra_special_tokens", Honoured),
    ("bos_token", Honoured),
    ("eos_token", Honoured),
    ("unk_token", Honoured),
    ("sep_token", Honoured),
    ("pad_token", Honoured),
    ("cls_token", Honoured),
    ("mask_token", Honoured),
    ("do_lower_case", Honoured),
    ("strip_accents", Honoured),
    ("tokenize_chinese_chars", Honoured),
    ("add_prefix_space", Honoured),
    ("keep_accents", Honoured),
    ("split_by_punct", Honoured),
    ("trim_offsets", Honoured),
    // Only read where tokenizer.json is missing.
    ("add_bos_token", Harmless),
    ("add_eos_token", Harmless),
    ("clean_up_tokenization_spaces", Harmless),
    ("chat_template", Harmless),
    ("auto_map", Harmless),
    ("errors", Harmless),
    ("backend", Only("tokenizers")),
    ("init_inputs", Refused),
    ("fix_mistral_regex", Refused),
    ("unk_id", Refused),
];

/// Fields of config.json that every family has. A family's own fields are in its configuration type.
pub const CONFIG: &[Setting] = &[
    ("architectures", Honoured),
    ("model_type", Honoured),
    ("tokenizer_class", Honoured),
    ("quantization_config", Refused),
    ("compression_config", Refused),
    ("pruned_heads", Refused),
    ("is_encoder_decoder", Refused),
    ("is_decoder", Refused),
    ("add_cross_attention", Refused),
    ("cross_attention_hidden_size", Refused),
    ("chunk_size_feed_forward", Harmless),
    ("tie_word_embeddings", Harmless),
    ("dtype", Harmless),
    ("torch_dtype", Harmless),
    ("output_attentions", Harmless),
    ("output_hidden_states", Harmless),
    ("return_dict", Harmless),
    ("use_return_dict", Harmless),
    ("id2label", Harmless),
    ("label2id", Harmless),
    ("num_labels", Harmless),
    ("problem_type", Harmless),
    ("transformers_version", Harmless),
    ("_name_or_path", Harmless),
    ("name_or_path", Harmless),
];

/// Checks a file whose names are all known: one that is not known may be of a newer library that acts on it.
pub fn check(folder: &Folder, name: &str, table: &[Setting]) -> Result<()> {
    check_in(folder, name, &[table])
}

/// The same with several tables, of which the first that has a setting counts.
pub fn check_in(folder: &Folder, name: &str, tables: &[&[Setting]]) -> Result<()> {
    let settings: Map<String, Value> = folder.json(name)?;
    for (key, value) in &settings {
        let Some((_, treatment)) = tables.iter().copied().flatten().find(|(known, _)| known == key) else {
            let why = format!("{key} is not known; remove it if it changes nothing, or use a release that knows it");
            return Err(folder.unsupported(name, why));
        };
        judge(folder, name, (key, value), *treatment)?;
    }
    match (settings.get("modality_config"), settings.get("processing_kwargs")) {
        (None, None) => {}
        (modality, processing) => {
            modality.map_or(Ok(()), |value| only_text(folder, name, value))?;
            processing.map_or(Ok(()), |value| only_length(folder, name, value))?;
        }
    }
    for key in ["model_args", "model_kwargs"] {
        settings.get(key).map_or(Ok(()), |value| only_speed(folder, (name, key), value))?;
    }
    Ok(())
}

/// Checks a file that may hold other names, too.
pub fn check_known(folder: &Folder, name: &str, settings: &Map<String, Value>, table: &[Setting]) -> Result<()> {
    for (key, treatment) in table {
        if let Some(value) = settings.get(*key) {
            judge(folder, name, (key, value), *treatment)?;
        }
    }
    Ok(())
}

fn judge(folder: &Folder, name: &str, (key, value): (&str, &Value), treatment: Treatment) -> Result<()> {
    let refuse = |why: String| Err(folder.unsupported(name, why));
    match treatment {
        Honoured | Harmless => Ok(()),
        Refused if says_nothing(value) => Ok(()),
        Refused => refuse(format!("{key} is not supported")),
        Only(only) if value.is_null() || value == only => Ok(()),
        Only(only) => refuse(format!("{key} is {value}; only {only} is supported")),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::String(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// A text or a list of messages goes through the network once; what follows is its last hidden state, or the numbers of its head.
fn only_text(folder: &Folder, name: &str, modality: &Value) -> Result<()> {
    const KNOWN: &[&str] = &["last_hidden_state", "logits"];
    let entries = modality.as_object().cloned().unwrap_or_default();
    let fits = |(kind, entry): (&String, &Value)| {
        let field = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let usual = field("method") == "forward" && KNOWN.contains(&field("method_output_name"));
        let fields = entry.as_object().map_or(0, Map::len);
        // The form of messages is read where they are.
        let more = usize::from(kind == "message" && entry.get("format").is_some());
        matches!(kind.as_str(), "text" | "message") && usual && fields == 2 + more
    };
    if !entries.is_empty() && entries.iter().all(fits) {
        return Ok(());
    }
    let why = "modality_config asks for other inputs or outputs than texts and their last hidden state or logits";
    Err(folder.unsupported(name, why))
}

/// Of the settings of the tokenizer's call only the length is one that changes a vector here.
fn only_length(folder: &Folder, name: &str, processing: &Value) -> Result<()> {
    let entries = processing.as_object().cloned().unwrap_or_default();
    for (part, value) in &entries {
        for (key, value) in value.as_object().into_iter().flatten() {
            let known = match (part.as_str(), key.as_str()) {
                ("text", "max_length") => value.is_u64(),
                // Which logits are computed at all; those of the last token always are.
                ("text", "padding" | "logits_to_keep") => true,
                ("text", "truncation") => *value == true || value == "longest_first",
                ("text", "add_special_tokens") => *value == true,
                // These take no part where there are only texts. Those of a chat template are read where there is one.
                ("image" | "audio" | "video" | "chat_template", _) => true,
                _ => false,
            };
            if !known {
                return Err(
                    folder.unsupported(name, format!("processing_kwargs.{part}.{key} {value} is not supported"))
                );
            }
        }
    }
    Ok(())
}

/// Arguments of the network's constructor that change only how fast it is.
fn only_speed(folder: &Folder, (name, key): (&str, &str), arguments: &Value) -> Result<()> {
    const SPEED: &[&str] =
        &["attn_implementation", "torch_dtype", "dtype", "device_map", "trust_remote_code", "low_cpu_mem_usage"];
    match arguments.as_object().into_iter().flatten().find(|(argument, _)| !SPEED.contains(&argument.as_str())) {
        Some((argument, _)) => Err(folder.unsupported(name, format!("{key}.{argument} is not supported"))),
        None => Ok(()),
    }
}
