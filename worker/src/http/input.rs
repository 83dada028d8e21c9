//! The texts of a request, and JSON errors that never quote the request.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

use crate::error::{ApiError, Reason};

/// Deepest nesting that is read. Nothing here needs more than three levels.
const DEPTH_LIMIT: usize = 64;

/// Most elements that are read before a request is refused, in addition to the settings; it bounds the memory of a body
/// of empty texts.
const ELEMENTS_LIMIT: usize = 1 << 16;

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

const TOO_MANY: &str = "too many inputs in one request";

/// Reads a body. Fields that are not known are ignored.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if deeper_than(body, DEPTH_LIMIT) {
        let message = format!("the body is nested deeper than {DEPTH_LIMIT} levels");
        return Err(ApiError::new(Reason::InvalidJson, message));
    }
    serde_json::from_slice(body).map_err(|error| explain(&error))
}

/// Explains what is wrong and where. For a wrong type, serde quotes the value. The value may be private, so only the
/// part after it is kept.
fn explain(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    if error.is_syntax() || error.is_eof() {
        return ApiError::new(Reason::InvalidJson, format!("the body is not valid JSON: {text}"));
    }
    if text.starts_with(TOO_MANY) {
        return ApiError::new(Reason::TooManyInputs, text);
    }
    let safe = ["missing field", "duplicate field", "a token id is too large", "an array mixes"];
    let message = match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if safe.iter().any(|start| text.starts_with(start)) => text,
        None => format!("a field has the wrong type at {place}"),
    };
    ApiError::new(Reason::InvalidInput, message)
}

/// Whether the nesting exceeds the limit. `serde_json` has its own limit, but not for fields that it skips.
fn deeper_than(body: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Input, (Reason, String)> {
        parse::<Input>(json.as_bytes()).map_err(|error| (error.reason, error.message))
    }

    #[test]
    fn four_forms_of_input_are_read() {
        assert_eq!(read(r#""a""#).unwrap(), Input::Texts(vec!["a".into()]));
        assert_eq!(read(r#"["a", "b"]"#).unwrap(), Input::Texts(vec!["a".into(), "b".into()]));
        assert_eq!(read("[1, 2]").unwrap(), Input::Ids(vec![vec![1, 2]]));
        assert_eq!(read("[[1], [2, 3]]").unwrap(), Input::Ids(vec![vec![1], vec![2, 3]]));
    }

    #[test]
    fn a_wrong_type_is_explained_without_repeating_it() {
        for json in
            [r#"{"secret": 1}"#, "true", "1.5", "null", r#"["a", 1]"#, r#"[["secret"]]"#, "[-1]", "[99999999999]"]
        {
            let (reason, message) = read(json).unwrap_err();
            assert_eq!(reason, Reason::InvalidInput, "{json}");
            assert!(!message.contains("secret") && !message.contains("99999"), "{message}");
            assert!(message.contains("line 1"), "{message}");
        }
        let (_, message) = read(r#"[["secret, expected nothing"]]"#).unwrap_err();
        assert_eq!(message, "expected u32 at line 1 column 28");
    }

    #[test]
    fn broken_json_is_explained_by_its_place() {
        for json in ["", "[", "[\"a\"", "\"\\ud800\"", "[1e999]", "nul", "\"a\" x", "\"a\u{1}\""] {
            let (reason, message) = read(json).unwrap_err();
            assert_eq!(reason, Reason::InvalidJson, "{json}: {message}");
        }
        assert!(parse::<Input>(b"\"\xff\"").is_err(), "not UTF-8");
    }

    #[test]
    fn deep_nesting_is_refused_even_in_fields_that_are_skipped() {
        for json in ["[".repeat(100_000), format!(r#"{{"x":{}"#, "{\"a\":".repeat(100_000))] {
            let (reason, message) = read(&json).unwrap_err();
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
