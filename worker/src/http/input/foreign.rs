//! Fields of other servers that would change an answer and have no meaning here. One that is ignored gives a wrong answer without a word.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{ApiError, Reason};
use crate::state::Model;

/// Values that ask for what this worker does anyway; null always does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usual {
    /// None but null.
    Null,
    Bool(bool),
    /// One of these words, in any case, alone or in a list.
    Words(&'static [&'static str]),
    /// Any, where the model has no prompts: it takes all texts alike.
    WithoutPrompts,
    /// An empty object.
    Empty,
}

/// A field, the values of it that change nothing, and what to do instead of sending another.
pub(crate) type Field = (&'static str, Usual, &'static str);

const FLOATS: Usual = Usual::Words(&["float", "float32", "fp32"]);
const RIGHT: Usual = Usual::Words(&["right"]);
const AS_FLOATS: &str = "vectors are answered in 32-bit floats; leave it out";
const SIDE: &str = "the model's tokenizer_config.json says at which side texts are cut; leave it out";
const PROMPT: &str = "this model has prompts; send the name of one as prompt_name";
const CUT: &str = "texts are cut to the model's own length, or refused; send truncate";
const NO_PROMPT: &str = "a model that classifies tokens takes no prompts; leave it out";
const TEXT: &str = "send the text that goes before each text as prompt";

/// Of requests for vectors: Voyage's, Jina's, Cohere's, NVIDIA's, vLLM's, and those of sentence-transformers.
pub(crate) const VECTORS: &[Field] = &[
    ("output_dtype", FLOATS, AS_FLOATS),
    ("precision", FLOATS, AS_FLOATS),
    ("embedding_type", FLOATS, AS_FLOATS),
    ("embedding_types", FLOATS, AS_FLOATS),
    ("embed_dtype", FLOATS, AS_FLOATS),
    ("endianness", Usual::Words(&["little", "native"]), "base64 holds little-endian floats; leave it out"),
    ("late_chunking", Usual::Bool(false), "each text is encoded alone; leave it out"),
    ("return_multivector", Usual::Bool(false), "send the texts to /embed_all"),
    ("input_type", Usual::WithoutPrompts, PROMPT),
    ("task", Usual::WithoutPrompts, PROMPT),
    ("instruction", Usual::Null, TEXT),
    ("add_special_tokens", Usual::Bool(true), "the tokenizer's own special tokens are always added; leave it out"),
    ("truncate_prompt_tokens", Usual::Null, CUT),
    ("truncation_side", RIGHT, SIDE),
    ("truncation_direction", RIGHT, SIDE),
    ("modality", Usual::Words(&["text"]), "only texts are encoded; leave it out"),
    ("messages", Usual::Null, "send texts instead"),
    ("use_activation", Usual::Null, "send normalize"),
    ("parameters", Usual::Empty, "send its fields beside the texts"),
];

/// Of requests for scores: Cohere's, Jina's, Voyage's and vLLM's.
pub(crate) const SCORES: &[Field] = &[
    ("rank_fields", Usual::Words(&["text"]), "a document is its field text; write what counts into that"),
    ("max_chunks_per_doc", Usual::Null, CUT),
    ("max_tokens_per_doc", Usual::Null, CUT),
    ("truncate_prompt_tokens", Usual::Null, CUT),
    ("truncation_side", RIGHT, SIDE),
    ("truncation_direction", RIGHT, SIDE),
    ("input_type", Usual::WithoutPrompts, PROMPT),
    ("task", Usual::WithoutPrompts, PROMPT),
    ("instruction", Usual::Null, TEXT),
    ("return_embeddings", Usual::Bool(false), "send the texts to a model for vectors"),
    ("use_activation", Usual::Null, "send raw_scores"),
    ("activation", Usual::Null, "send raw_scores"),
    ("softmax", Usual::Null, "send raw_scores"),
];

/// Of requests for classes.
pub(crate) const CLASSES: &[Field] = &[
    ("truncate_prompt_tokens", Usual::Null, CUT),
    ("truncation_side", RIGHT, SIDE),
    ("instruction", Usual::Null, TEXT),
    ("top_k", Usual::Null, "send it in parameters"),
    ("function_to_apply", Usual::Null, "send it in parameters"),
    ("use_activation", Usual::Null, "send raw_scores"),
];

/// Of requests for the classes of tokens.
pub(crate) const ENTITIES: &[Field] = &[
    ("prompt_name", Usual::Null, NO_PROMPT),
    ("prompt", Usual::Words(&[""]), NO_PROMPT),
    ("truncate_prompt_tokens", Usual::Null, CUT),
    ("truncation_side", RIGHT, SIDE),
];

/// Refuses a body with a field of the table that asks for something else than this worker does. The body was read before, so it is
/// an object and not nested too deep.
pub(crate) fn foreign(body: &[u8], table: &'static [Field], model: &Model) -> Result<(), ApiError> {
    // What follows the object was refused by the first reading.
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = reader.deserialize_map(Search { table, takes_all_alike: takes_all_alike(model) }).ok().flatten();
    found.map_or(Ok(()), |(name, instead)| {
        Err(ApiError::new(Reason::InvalidInput, format!("{name}: {instead}")).param(name))
    })
}

/// Whether the model has one way to take a text.
fn takes_all_alike(model: &Model) -> bool {
    model.presets.max_sim.is_none() && model.presets.prompts.values().all(String::is_empty)
}

struct Search {
    table: &'static [Field],
    takes_all_alike: bool,
}

impl<'de> Visitor<'de> for Search {
    type Value = Option<(&'static str, &'static str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            let Some((name, usual, instead)) = self.table.iter().find(|(name, ..)| *name == key) else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            if !usual.has(&fields.next_value()?, self.takes_all_alike) {
                found = found.or(Some((*name, *instead)));
            }
        }
        Ok(found)
    }
}

impl Usual {
    fn has(self, value: &Value, takes_all_alike: bool) -> bool {
        match (self, value) {
            (_, Value::Null) => true,
            (Self::Bool(usual), Value::Bool(given)) => usual == *given,
            (Self::Words(words), Value::String(given)) => words.iter().any(|word| word.eq_ignore_ascii_case(given)),
            (Self::Words(_), Value::Array(given)) => {
                given.iter().all(|each| each.is_string() && self.has(each, takes_all_alike))
            }
            (Self::WithoutPrompts, _) => takes_all_alike,
            (Self::Empty, Value::Object(given)) => given.is_empty(),
            _ => false,
        }
    }
}
