//! The texts of a request, and errors of JSON and msgpack that never quote the request.

mod body;
mod explain;
mod foreign;
mod values;

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};

pub use self::body::{parse, unpack};
pub(crate) use self::foreign::{CLASSES, ENTITIES, SCORES, VECTORS, foreign};
pub use self::values::{Bounded, Object};
use self::values::{ELEMENTS_LIMIT, TOO_MANY};
use crate::error::{ApiError, Reason};

/// One text, several, or the same as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Texts to tokenize.
    Texts(Vec<String>),
    /// Texts as token ids, special tokens among them.
    Ids(Vec<Vec<u32>>),
}

impl Input {
    /// Texts in the request.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Ids(lists) => lists.len(),
        }
    }

    /// Parts of at most this many texts, in order.
    pub fn split(self, size: usize) -> Vec<Self> {
        match self {
            Self::Texts(texts) => parts(texts, size).into_iter().map(Self::Texts).collect(),
            Self::Ids(lists) => parts(lists, size).into_iter().map(Self::Ids).collect(),
        }
    }

    /// Characters of the texts; none of token ids.
    pub fn characters(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.iter().map(|text| text.chars().count()).sum(),
            Self::Ids(_) => 0,
        }
    }

    /// Whether there is no text; [`Self::checked`] refuses that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses a request without texts, or with an empty text.
    pub fn checked(self, param: &'static str) -> Result<Self, ApiError> {
        let invalid = |message: String| Err(ApiError::new(Reason::InvalidInput, message).param(param));
        let empty = match &self {
            Self::Texts(texts) => texts.iter().position(String::is_empty),
            Self::Ids(lists) => lists.iter().position(Vec::is_empty),
        };
        match empty {
            _ if self.is_empty() => invalid(format!("{param} is empty; send at least one text")),
            Some(index) => invalid(format!("input {index} is empty")),
            None => Ok(self),
        }
    }
}

/// Parts of at most this many elements, in order; at least one part.
pub(super) fn parts<T>(mut list: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let size = size.max(1);
    let mut parts = Vec::new();
    while list.len() > size {
        let rest = list.split_off(size);
        parts.push(std::mem::replace(&mut list, rest));
    }
    parts.push(list);
    parts
}

/// One element of an array whose kind is not known yet.
enum Element {
    Text(String),
    Id(u32),
    Ids(Vec<u32>),
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a token id or an array of token ids")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(text.to_owned()))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Element, E> {
        Ok(Element::Text(text))
    }
    fn visit_u64<E: Error>(self, id: u64) -> Result<Element, E> {
        u32::try_from(id).map(Element::Id).map_err(|_| E::custom("a token id is too large"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Element, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = list.next_element::<u32>()? {
            ids.push(id);
        }
        Ok(Element::Ids(ids))
    }
}

impl<'de> serde::Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ElementVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of strings, or token ids")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Input, E> {
        Ok(Input::Texts(vec![text.to_owned()]))
    }
    fn visit_string<E: Error>(self, text: String) -> Result<Input, E> {
        Ok(Input::Texts(vec![text]))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Input, A::Error> {
        let (mut texts, mut lists, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(element) = list.next_element()? {
            match element {
                Element::Text(text) => texts.push(text),
                Element::Ids(list) => lists.push(list),
                Element::Id(id) => ids.push(id),
            }
            if texts.len() + lists.len() > ELEMENTS_LIMIT {
                return Err(A::Error::custom(TOO_MANY));
            }
        }
        match (texts.is_empty(), lists.is_empty(), ids.is_empty()) {
            (_, true, true) => Ok(Input::Texts(texts)),
            (true, false, true) => Ok(Input::Ids(lists)),
            (true, true, false) => Ok(Input::Ids(vec![ids])),
            _ => Err(A::Error::custom("an array mixes strings and token ids")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(InputVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Body {
        input: Input,
        #[serde(default)]
        #[allow(dead_code, reason = "only read from JSON")]
        dimensions: Option<usize>,
        #[serde(default)]
        #[allow(dead_code, reason = "only read from JSON")]
        truncate: Option<bool>,
    }

    fn read(json: &str) -> Result<Input, (Reason, String)> {
        body(&format!(r#"{{"input": {json}}}"#))
    }

    fn body(json: &str) -> Result<Input, (Reason, String)> {
        parse::<Body>(json.as_bytes()).map(|body| body.input).map_err(|error| (error.reason, error.message))
    }

    #[test]
    fn four_forms_of_input_are_read() {
        assert_eq!(read(r#""a""#).unwrap(), Input::Texts(vec!["a".into()]));
        assert_eq!(read(r#"["a", "b"]"#).unwrap(), Input::Texts(vec!["a".into(), "b".into()]));
        assert_eq!(read("[1, 2]").unwrap(), Input::Ids(vec![vec![1, 2]]));
        assert_eq!(read("[[1], [2, 3]]").unwrap(), Input::Ids(vec![vec![1], vec![2, 3]]));
    }

    #[test]
    fn parts_hold_every_text_once_and_in_order() {
        let texts = |list: &[&str]| Input::Texts(list.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(texts(&["a", "b", "c"]).split(2), [texts(&["a", "b"]), texts(&["c"])]);
        assert_eq!(texts(&["a", "b"]).split(2), [texts(&["a", "b"])]);
        assert_eq!(Input::Ids(vec![vec![1], vec![2]]).split(1), [Input::Ids(vec![vec![1]]), Input::Ids(vec![vec![2]])]);
    }

    #[test]
    fn a_wrong_type_names_the_field_what_was_expected_and_what_came() {
        let rows = [
            (
                r#"{"input": {"secret": 1}}"#,
                "input: expected a string, an array of strings, or token ids, got an object",
            ),
            (r#"{"input": null}"#, "input: expected a string, an array of strings, or token ids, got null"),
            (r#"{"input": 1.5}"#, "input: expected a string, an array of strings, or token ids, got a number"),
            (r#"{"input": ["a", 1]}"#, "input: an array mixes strings and token ids"),
            (
                r#"{"input": [["secret, expected nothing"]]}"#,
                "input[0][0]: expected a whole number from 0 on, got a string",
            ),
            (r#"{"input": [99999999999]}"#, "input[0]: a token id is too large"),
            (r#"{"input": "a", "dimensions": "3"}"#, "dimensions: expected a whole number from 0 on, got a string"),
            (r#"{"input": "a", "dimensions": -1}"#, "dimensions: expected a whole number from 0 on, got a number"),
            (r#"{"input": "a", "truncate": "yes"}"#, "truncate: expected true or false, got a string"),
            (r#"{"inputs": "a"}"#, "missing field `input`"),
            (r#"["x"]"#, "the body is an array; expected a JSON object"),
            ("null", "the body is null; expected a JSON object"),
            ("5", "the body is a number; expected a JSON object"),
        ];
        for (json, expected) in rows {
            assert_eq!(body(json).unwrap_err(), (Reason::InvalidInput, expected.to_owned()), "{json}");
        }
    }

    #[test]
    fn broken_json_is_explained_by_its_place() {
        for json in ["[", "[\"a\"", "\"\\ud800\"", "[1e999]", "nul", "\"a\" x", "\"a\u{1}\""] {
            let (reason, message) = read(json).unwrap_err();
            assert_eq!(reason, Reason::InvalidJson, "{json}: {message}");
        }
        assert!(parse::<Body>(b"{\"input\": \"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn deep_nesting_is_refused_even_in_fields_that_are_skipped() {
        for json in ["[".repeat(100_000), format!(r#"{{"x":{}"#, "{\"a\":".repeat(100_000))] {
            let (reason, message) = body(&json).unwrap_err();
            assert_eq!(reason, Reason::InvalidJson);
            assert!(message.contains("64 levels"), "{message}");
        }
        let text = format!("\"{}\"", "[".repeat(1000));
        assert!(read(&text).is_ok(), "brackets in a text are text");
    }

    #[test]
    fn empty_texts_are_refused_and_whitespace_is_not() {
        for json in ["[]", "[\"\"]", "\"\"", "[[]]"] {
            assert_eq!(read(json).unwrap().checked("input").unwrap_err().reason, Reason::InvalidInput, "{json}");
        }
        assert!(read("\" \"").unwrap().checked("input").is_ok());
    }

    #[test]
    fn a_body_of_very_many_texts_is_refused_while_it_is_read() {
        let json = format!("[{}\"\"]", "\"\",".repeat(100_000));
        assert_eq!(read(&json).unwrap_err().0, Reason::TooManyInputs);
    }
}
