//! The bodies of SIE's routes. A field that would change an answer, and that this worker does not have, is refused by name.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::array::Dtype;
use crate::engine::Output;
use crate::error::{ApiError, Reason};
use crate::http::input::{Bounded, Object};
use crate::state::{Model, Prompt};

/// `POST /v1/encode/{model}`
#[derive(Deserialize)]
pub(super) struct Encode {
    pub(super) items: Bounded<Object<Item>>,
    pub(super) params: Option<Object<Params>>,
}

/// `POST /v1/score/{model}`
#[derive(Deserialize)]
pub(super) struct Score {
    pub(super) query: Object<Item>,
    pub(super) items: Bounded<Object<Item>>,
    pub(super) instruction: Option<String>,
    pub(super) options: Option<Options>,
}

/// What is to be encoded, or scored. Its `metadata` and unknown fields are ignored.
#[derive(Deserialize)]
pub(super) struct Item {
    pub(super) id: Option<String>,
    text: Option<String>,
    images: Option<IgnoredAny>,
    audio: Option<IgnoredAny>,
    video: Option<IgnoredAny>,
    document: Option<IgnoredAny>,
}

impl Item {
    /// The id and the text of an item at this place of the request.
    pub(super) fn read(self, place: &str, param: &'static str) -> Result<(Option<String>, String), ApiError> {
        let media =
            [("images", self.images), ("audio", self.audio), ("video", self.video), ("document", self.document)];
        let invalid = |message: String| ApiError::new(Reason::InvalidInput, message).param(param);
        if let Some((name, _)) = media.iter().find(|(_, given)| given.is_some()) {
            return Err(invalid(format!("{place}.{name}: this model takes texts only")));
        }
        match self.text {
            None => Err(invalid(format!("{place}.text is missing"))),
            Some(text) if text.is_empty() => Err(invalid(format!("{place}.text is empty"))),
            Some(text) => Ok((self.id, text)),
        }
    }
}

/// Ids and texts of a list of items.
pub(super) fn read(items: Bounded<Object<Item>>) -> Result<(Vec<Option<String>>, Vec<String>), ApiError> {
    let read = |(index, Object(item)): (usize, Object<Item>)| item.read(&format!("items[{index}]"), "items");
    items.0.into_iter().enumerate().map(read).collect()
}

#[derive(Default, Deserialize)]
pub(super) struct Params {
    output_types: Option<Bounded<Kind>>,
    pub(super) instruction: Option<String>,
    pub(super) output_dtype: Option<Dtype>,
    pub(super) options: Option<Options>,
}

/// An output of `/v1/encode`, by SIE's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Kind(Output);

impl TryFrom<String> for Kind {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let found = Output::ALL.into_iter().find(|output| name(*output) == Some(text.as_str()));
        found.map(Self).ok_or("expected `dense`, `sparse` or `multivector`")
    }
}

/// SIE's name of an output; `None` for one that it does not have here.
pub(in crate::http) const fn name(output: Output) -> Option<&'static str> {
    match output {
        Output::Dense => Some("dense"),
        Output::Sparse => Some("sparse"),
        Output::MultiVector => Some("multivector"),
        _ => None,
    }
}

impl Params {
    /// The outputs that are asked for, all of which the model has.
    pub(super) fn outputs(&self, model: &Model) -> Result<Vec<Output>, ApiError> {
        let invalid = |message: String| Err(ApiError::new(Reason::InvalidInput, message).param("params"));
        let wanted: Vec<Output> = match &self.output_types {
            None => vec![Output::Dense],
            Some(kinds) => kinds.0.iter().map(|Kind(output)| *output).collect(),
        };
        if wanted.is_empty() {
            return invalid("params.output_types is empty; send dense, sparse or multivector".to_owned());
        }
        let Some(lacks) = wanted.iter().find(|output| !model.outputs.has(**output)) else { return Ok(wanted) };
        let lacks = name(*lacks).unwrap_or_default();
        let has: Vec<&str> = model.outputs.iter().filter_map(name).collect();
        match has.as_slice() {
            [] => invalid(format!("this model has no {lacks} output, and no other that is encoded; see /info")),
            has => invalid(format!("params.output_types asks for {lacks}; this model has: {}", has.join(", "))),
        }
    }
}

/// Settings of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    is_query: Option<bool>,
    pub(super) normalize: Option<bool>,
    /// Whether a text that is too long is cut.
    pub(super) truncate: Option<bool>,
}

/// The names of settings.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Setting {
    IsQuery,
    Normalize,
    OverflowPolicy,
    Profile,
    #[serde(other)]
    Other,
}

struct OptionsVisitor;

impl<'de> Visitor<'de> for OptionsVisitor {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let mut options = Options::default();
        while let Some(setting) = map.next_key()? {
            match setting {
                Setting::IsQuery => options.is_query = map.next_value()?,
                Setting::Normalize => options.normalize = map.next_value()?,
                Setting::OverflowPolicy => {
                    let Policy(truncate) = map.next_value::<Option<Policy>>()?.unwrap_or_default();
                    options.truncate = truncate;
                }
                Setting::Profile => {
                    map.next_value::<Option<Profile>>()?;
                }
                Setting::Other => {
                    let message = "it has a setting that this worker does not take; it takes is_query, \
                                   normalize, overflow_policy and profile";
                    return Err(A::Error::custom(message));
                }
            }
        }
        Ok(options)
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OptionsVisitor)
    }
}

/// What is done with a text that is too long.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct Policy(Option<bool>);

impl TryFrom<String> for Policy {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "default" => Ok(Self(None)),
            "truncate_text" => Ok(Self(Some(true))),
            "error" => Ok(Self(Some(false))),
            _ => Err("expected `default`, `truncate_text` or `error`"),
        }
    }
}

/// The one profile that there is.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Profile;

impl TryFrom<String> for Profile {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "default" { Ok(Self) } else { Err("expected `default`, the only profile of this model") }
    }
}

impl Options {
    /// Refuses what says nothing about scores.
    pub(super) fn of_scores(self) -> Result<Self, ApiError> {
        let given = [("is_query", self.is_query), ("normalize", self.normalize)];
        match given.iter().find(|(_, given)| given.is_some()) {
            None => Ok(self),
            Some((name, _)) => {
                let message = format!("options.{name} is for /v1/encode; scores do not have it");
                Err(ApiError::new(Reason::InvalidInput, message).param("options"))
            }
        }
    }

    /// What goes before each text. An instruction of the caller comes first; then the model's own prompt of queries or of
    /// documents, if the request says which its texts are; then the prompt of a request that says nothing.
    pub(super) fn prompt(self, model: &Model, instruction: Option<String>) -> Prompt {
        match (instruction, self.is_query) {
            (Some(instruction), is_query) => {
                let query = is_query == Some(true) && model.presets.max_sim.is_some();
                Prompt { query, ..model.prompt(instructed(model, instruction)) }
            }
            (None, None) => model.default_prompt(),
            (None, Some(true)) => model.prompt_named("query").unwrap_or_default(),
            // In the order in which sentence-transformers looks for them.
            (None, Some(false)) => {
                ["document", "passage", "corpus"].iter().find_map(|name| model.prompt_named(name)).unwrap_or_default()
            }
        }
    }
}

/// An instruction before a text, as SIE writes it; an empty one is none. In a chat it is a message of its own.
pub(super) fn instructed(model: &Model, instruction: String) -> String {
    let is_apart = instruction.is_empty() || model.tokenizer.template().is_some();
    if is_apart { instruction } else { instruction + " " }
}
