//! Models for late interaction, as MultiVectorEncoder of sentence-transformers reads them: folders of its own, those of PyLate,
//! and checkpoints of the original ColBERT.

use belfry_crds::contract::load_failure::LoadFailure;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::presets::Presets;
use super::texts::{Read, Texts, TransformerTask, read};
use super::{CONFIG, MODULES, Module, Pipeline, Purpose, unsupported_module};
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::late::MaxSim;
use crate::model::settings;
use crate::model::steps::StepConfig;
use crate::plain;

const MODEL: &str = "config_sentence_transformers.json";
const ARTIFACT: &str = "artifact.metadata";

/// The architecture of the original ColBERT in config.json.
pub(super) const STANFORD: &str = "HF_ColBERT";

/// Tokens of a query with the original's settings.
const USUAL_LENGTH: usize = 32;

/// Most tokens to which a query is filled up.
const LENGTH_LIMIT: usize = 1024;

/// What `string.punctuation` of Python holds.
const PUNCTUATION: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

/// Settings by which PyLate's folders are known.
const PYLATE: &[&str] = &[
    "query_length",
    "document_length",
    "query_expansion",
    "do_query_expansion",
    "attend_to_expansion_tokens",
    "attend_to_mask_tokens",
    "query_prefix",
    "document_prefix",
    "skiplist_words",
];

/// What differs between the texts of such a model.
#[derive(Clone, Debug, PartialEq)]
pub struct LateTexts {
    /// Most tokens of a query, where nothing else is said; those of a document are in [`Pipeline::texts`].
    pub queries: Texts,
    /// How queries are filled up.
    pub expansion: Option<Expansion>,
    /// Texts whose first word is one token, if the vocabulary has it.
    pub prefixes: Vec<String>,
}

/// Tokens that fill a query up (`query_expansion`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expansion {
    /// What becomes of a query that is longer.
    pub strategy: Strategy,
    /// Whether other tokens see them.
    #[serde(default)]
    pub attend: bool,
    /// The token, if it is not the mask's or else the last one's.
    pub token: Option<String>,
    /// Tokens of a filled query.
    pub length: usize,
}

/// What becomes of a query that is longer than the length to which queries are filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// It is cut.
    Fixed,
    /// It stays.
    Min,
}

/// Tokens that have no vector, by their words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skiplist {
    /// The words; those that are no token of the vocabulary count for nothing.
    pub words: Vec<String>,
    /// Whether they are left out of queries.
    pub queries: bool,
    /// Whether they are left out of documents.
    pub documents: bool,
}

impl Skiplist {
    fn of_documents(words: Vec<String>) -> Self {
        Self { words, queries: false, documents: true }
    }
}

/// Who wrote a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// sentence-transformers, which lists every module.
    Native,
    /// PyLate, which lists the Transformer and the Dense modules alone.
    PyLate,
}

/// Whether config_sentence_transformers.json is that of such a model.
pub(super) fn is_late(config: &Map<String, Value>) -> bool {
    writer(config).is_some()
}

fn writer(config: &Map<String, Value>) -> Option<Writer> {
    match config.get("model_type").and_then(Value::as_str) {
        Some("MultiVectorEncoder") => Some(Writer::Native),
        Some("ColBERT") => Some(Writer::PyLate),
        None | Some("SentenceTransformer") => {
            PYLATE.iter().any(|key| config.contains_key(*key)).then_some(Writer::PyLate)
        }
        Some(_) => None,
    }
}

/// The settings of config_sentence_transformers.json that such a model has beside the usual ones.
#[derive(Default, Deserialize)]
struct LateConfig {
    similarity_fn_name: Option<String>,
    query_prefix: Option<String>,
    document_prefix: Option<String>,
    skiplist_words: Option<Vec<String>>,
    do_query_expansion: Option<bool>,
    attend_to_expansion_tokens: Option<bool>,
    attend_to_mask_tokens: Option<bool>,
}

impl LateConfig {
    /// What this file says about the Transformer's texts; the Transformer's own file goes before it.
    fn transformer(&self, raw: &Map<String, Value>) -> Map<String, Value> {
        let said = |key: &&str| raw.get(*key).is_some_and(|value| !value.is_null() || *key == "query_expansion");
        let keys = ["query_length", "document_length", "query_expansion"].into_iter().filter(said);
        let mut knobs: Map<String, Value> = keys.map(|key| (key.to_owned(), raw[key].clone())).collect();
        if knobs.contains_key("query_expansion") || !PYLATE.iter().any(|key| raw.contains_key(*key)) {
            return knobs;
        }
        if self.do_query_expansion == Some(false) {
            knobs.insert("query_expansion".to_owned(), Value::Null);
        } else {
            let attend = self.attend_to_expansion_tokens.or(self.attend_to_mask_tokens).unwrap_or(false);
            let length = knobs.remove("query_length").unwrap_or_else(|| json!(USUAL_LENGTH));
            knobs.insert("query_expansion".to_owned(), expansion(attend, &length));
        }
        knobs
    }
}

fn expansion(attend: bool, length: &Value) -> Value {
    json!({ "strategy": "fixed", "attend": attend, "length": length })
}

/// What the Transformer's file says about queries and documents.
#[derive(Deserialize)]
struct Knobs {
    query_length: Option<usize>,
    document_length: Option<usize>,
    query_expansion: Option<Expansion>,
}

/// Reads a folder with modules.json whose config_sentence_transformers.json [`is_late`].
pub(super) fn pipeline(folder: &Folder, modules: Vec<Module>, mut presets: Presets) -> Result<Pipeline> {
    let raw: Map<String, Value> = folder.json(MODEL)?;
    let config: LateConfig = folder.json(MODEL)?;
    let writer = writer(&raw).unwrap_or(Writer::Native);
    let mut modules = modules.into_iter();
    let first = modules.next().ok_or_else(|| folder.corrupt(MODULES, "it lists no module"))?;
    if first.name() != "Transformer" {
        return Err(unsupported_module(folder, 0, &first, "a Transformer"));
    }
    let place = folder.within(&first.path)?;
    let Read { texts, task, chat, raw: own, .. } = read(&place, &[settings::LATE_TEXTS, settings::SENTENCE])?;
    if task != TransformerTask::FeatureExtraction || chat.is_some() {
        let why =
            "the Transformer of a MultiVectorEncoder needs the task feature-extraction, and no messages of a chat";
        return Err(folder.unsupported(MODULES, why));
    }
    let mut knobs = config.transformer(&raw);
    knobs.extend(own.into_iter().filter(|(key, _)| settings::LATE_TEXTS.iter().any(|(known, _)| known == key)));
    let (mut steps, mut skiplist) = (Vec::new(), None);
    for (index, module) in modules.enumerate() {
        let place = folder.within(&module.path)?;
        match (module.name(), writer) {
            ("Dense", _) => steps.push((module.path, StepConfig::dense(&place, settings::DENSE_OF_TOKENS)?)),
            ("Normalize", Writer::Native) => {
                // Without a word it looks for the vector of a text, and finds none.
                if normalizes_tokens(&place)? {
                    steps.push((module.path, StepConfig::Normalize));
                }
            }
            ("MultiVectorMask", Writer::Native) if skiplist.is_none() => skiplist = Some(mask(&place)?),
            _ => {
                let supported = match writer {
                    Writer::Native => "Dense, Normalize and one MultiVectorMask",
                    Writer::PyLate => "Dense",
                };
                return Err(unsupported_module(folder, index + 1, &module, supported));
            }
        }
    }
    if writer == Writer::PyLate {
        let has_prefix = raw.contains_key("query_prefix") || raw.contains_key("document_prefix");
        let usual = has_prefix || raw.get("model_type").is_some_and(|kind| kind == "ColBERT");
        let words = config.skiplist_words.unwrap_or_else(|| if usual { punctuation() } else { Vec::new() });
        if steps.is_empty() {
            return Err(folder.unsupported(MODULES, "it has no Dense module, which a folder of PyLate needs"));
        }
        skiplist = Some(Skiplist::of_documents(words));
        steps.push((String::new(), StepConfig::Normalize));
    }
    let prefixes = [("query", config.query_prefix), ("document", config.document_prefix)];
    let prefixes: Vec<String> =
        prefixes.into_iter().filter_map(|(role, prefix)| presets.begin(role, &prefix?)).collect();
    presets.max_sim =
        Some(if config.similarity_fn_name.as_deref() == Some("meanmaxsim") { MaxSim::Mean } else { MaxSim::Sum });
    presets.normalize = matches!(steps.last(), Some((_, StepConfig::Normalize)));
    let (texts, late) = roles(&place, texts, knobs, prefixes)?;
    if late.expansion.is_some() && skiplist.is_none() {
        return Err(folder.unsupported(
            MODULES,
            "query_expansion needs a MultiVectorMask module, without which it counts for nothing",
        ));
    }
    let purpose = Purpose::Tokens { steps, inline: false, skiplist: skiplist.unwrap_or_default() };
    Ok(Pipeline {
        place: first.path,
        purpose,
        texts,
        presets: presets.of_two_roles(),
        late: Some(late),
        chat: None,
        is_table: false,
    })
}

/// The settings of the original ColBERT that change a result.
#[derive(Default, Deserialize)]
struct Artifact {
    query_token_id: Option<String>,
    doc_token_id: Option<String>,
    query_maxlen: Option<usize>,
    doc_maxlen: Option<usize>,
    attend_to_mask_tokens: Option<bool>,
    mask_punctuation: Option<bool>,
}

/// Reads a checkpoint of the original ColBERT.
pub(super) fn stanford(folder: &Folder) -> Result<Pipeline> {
    let raw: Map<String, Value> = folder.optional_json(ARTIFACT)?.unwrap_or_default();
    settings::check_known(folder, ARTIFACT, &raw, settings::ARTIFACT)?;
    let artifact: Artifact = folder.optional_json(ARTIFACT)?.unwrap_or_default();
    let marker = |token: Option<String>, usual: &str| {
        format!("{} ", token.filter(|token| !token.is_empty()).unwrap_or_else(|| usual.to_owned()))
    };
    let markers = [
        ("query", marker(artifact.query_token_id, "[unused0]")),
        ("document", marker(artifact.doc_token_id, "[unused1]")),
    ];
    let mut presets = Presets { pool_prompt: true, normalize: true, max_sim: Some(MaxSim::Sum), ..Presets::default() };
    let prefixes = markers.into_iter().filter_map(|(role, marker)| presets.begin(role, &marker)).collect();
    let length = artifact.query_maxlen.filter(|length| *length > 0).unwrap_or(USUAL_LENGTH);
    let attend = artifact.attend_to_mask_tokens.unwrap_or(false);
    let knobs = json!({ "document_length": artifact.doc_maxlen, "query_expansion": expansion(attend, &json!(length)) });
    let (texts, late) = roles(folder, Texts::default(), knobs.as_object().cloned().unwrap_or_default(), prefixes)?;
    let words = if artifact.mask_punctuation.unwrap_or(true) { punctuation() } else { Vec::new() };
    let steps = vec![(String::new(), StepConfig::Normalize)];
    let purpose = Purpose::Tokens { steps, inline: true, skiplist: Skiplist::of_documents(words) };
    Ok(Pipeline {
        place: String::new(),
        purpose,
        texts,
        presets: presets.of_two_roles(),
        late: Some(late),
        chat: None,
        is_table: false,
    })
}

fn punctuation() -> Vec<String> {
    PUNCTUATION.chars().map(String::from).collect()
}

/// The texts of documents, and what differs for queries.
fn roles(place: &Folder, texts: Texts, knobs: Map<String, Value>, prefixes: Vec<String>) -> Result<(Texts, LateTexts)> {
    let refuse = |why: String| -> LoadFailure { place.unsupported("sentence_bert_config.json", why) };
    let knobs: Knobs = plain::part(Value::Object(knobs)).map_err(refuse)?;
    if [knobs.query_length, knobs.document_length].contains(&Some(0)) {
        return Err(refuse("query_length or document_length is 0".to_owned()));
    }
    let mut queries = Texts { max_tokens: knobs.query_length.or(texts.max_tokens), ..texts };
    if let Some(Expansion { strategy, length, .. }) = &knobs.query_expansion {
        if !(1..=LENGTH_LIMIT).contains(length) {
            return Err(refuse(format!("query_expansion.length is {length}; 1 to {LENGTH_LIMIT} is supported")));
        }
        if knobs.query_length.is_some_and(|most| most < *length) {
            return Err(refuse(format!("query_length is less than query_expansion.length {length}")));
        }
        if *strategy == Strategy::Fixed {
            queries.at_most = Some(*length);
        }
    }
    let documents = Texts { max_tokens: knobs.document_length.or(texts.max_tokens), ..texts };
    Ok((documents, LateTexts { queries, expansion: knobs.query_expansion, prefixes }))
}

/// `config.json` of a Normalize module.
#[derive(Default, Deserialize)]
struct NormalizeConfig {
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

/// Whether a Normalize module is about tokens.
fn normalizes_tokens(place: &Folder) -> Result<bool> {
    if !place.has(CONFIG) {
        return Ok(false);
    }
    settings::check(place, CONFIG, settings::NORMALIZE)?;
    let config: NormalizeConfig = place.json(CONFIG)?;
    let input = config.module_input_name.as_deref().unwrap_or("sentence_embedding");
    match (input, config.module_output_name.as_deref().unwrap_or(input)) {
        ("token_embeddings", "token_embeddings") => Ok(true),
        ("sentence_embedding", _) => Ok(false),
        (_, output) => {
            let why = format!("module_input_name {input} with module_output_name {output} is not supported");
            Err(place.unsupported(CONFIG, why))
        }
    }
}

/// `config.json` of a MultiVectorMask module.
#[derive(Default, Deserialize)]
struct MaskConfig {
    #[serde(default)]
    skiplist_words: Option<Vec<String>>,
    #[serde(default)]
    skiplist_tasks: Option<Value>,
}

fn mask(place: &Folder) -> Result<Skiplist> {
    settings::check(place, CONFIG, settings::MASK)?;
    let config: MaskConfig = place.json(CONFIG)?;
    let tasks = match config.skiplist_tasks {
        None | Some(Value::Null) => vec!["document".to_owned()],
        Some(Value::String(task)) => vec![task],
        Some(tasks) => serde_json::from_value(tasks)
            .map_err(|_| place.corrupt(CONFIG, "skiplist_tasks is neither a name nor a list of names"))?,
    };
    let has = |role: &str| tasks.iter().any(|task| task == role);
    let words = config.skiplist_words.unwrap_or_default();
    Ok(Skiplist { words, queries: has("query"), documents: has("document") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(config: &Value) -> Value {
        let raw = config.as_object().unwrap().clone();
        let own: LateConfig = serde_json::from_value(config.clone()).unwrap();
        Value::Object(own.transformer(&raw))
    }

    #[test]
    fn the_flat_settings_of_pylate_become_those_of_the_transformer() {
        let fixed = |attend: bool, length: usize| json!({ "strategy": "fixed", "attend": attend, "length": length });
        assert_eq!(knobs(&json!({ "model_type": "MultiVectorEncoder" })), json!({}));
        assert_eq!(knobs(&json!({ "query_prefix": "[Q] " })), json!({ "query_expansion": fixed(false, 32) }));
        let all = json!({ "query_length": 48, "document_length": 300, "attend_to_expansion_tokens": true });
        assert_eq!(knobs(&all), json!({ "document_length": 300, "query_expansion": fixed(true, 48) }));
        let off = json!({ "query_length": 48, "do_query_expansion": false });
        assert_eq!(knobs(&off), json!({ "query_length": 48, "query_expansion": null }));
        let said = json!({ "query_length": null, "query_expansion": null, "skiplist_words": [] });
        assert_eq!(knobs(&said), json!({ "query_expansion": null }));
    }

    #[test]
    fn a_folder_is_one_for_late_interaction_by_its_type_or_by_the_settings_of_pylate() {
        let is = |config: Value| is_late(config.as_object().unwrap());
        assert!(is(json!({ "model_type": "MultiVectorEncoder" })) && is(json!({ "model_type": "ColBERT" })));
        assert!(is(json!({ "document_length": 300 })));
        assert!(!is(json!({ "prompts": {} })) && !is(json!({ "model_type": "SparseEncoder", "query_length": 3 })));
    }

    #[test]
    fn punctuation_is_what_python_takes_for_it() {
        assert_eq!(punctuation().len(), 32);
    }
}
