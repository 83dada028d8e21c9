//! The texts of a request, and errors of JSON and msgpack that never quote the request.

use std::fmt;
use std::io::Cursor;
use std::marker::PhantomData;

use rmp_serde::decode::Error as Unpacking;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::{ApiError, Reason};
use crate::plain::plain;

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

const TOO_MANY: &str = "too many inputs in one request";

/// An object. Without it, serde takes an array for an object whose fields have no names.
#[derive(Clone, Debug)]
pub struct Object<T>(pub T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A list that is not read past 65,536 elements.
#[derive(Clone, Debug)]
pub struct Bounded<T>(pub Vec<T>);

struct BoundedVisitor<T>(PhantomData<T>);

impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for BoundedVisitor<T> {
    type Value = Bounded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == ELEMENTS_LIMIT {
                return Err(A::Error::custom(TOO_MANY));
            }
            elements.push(element);
        }
        Ok(Bounded(elements))
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(BoundedVisitor(PhantomData))
    }
}

/// Reads a body, which is an object. Fields that are not known are ignored.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if deeper_than(body, DEPTH_LIMIT) {
        let message = format!("the body is nested deeper than {DEPTH_LIMIT} levels");
        return Err(ApiError::new(Reason::InvalidJson, message));
    }
    // serde takes an array for an object whose fields have no names.
    if let Some(kind) = other_than_object(body) {
        serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| broken(&error))?;
        return Err(ApiError::new(Reason::InvalidInput, format!("the body is {kind}; expected a JSON object")));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| broken(&error))?;
    Ok(value)
}

/// Reads a body in msgpack, which is a map, and answers as [`parse`] does.
pub fn unpack<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // A map of up to 15 fields, of up to 65,535, and of more.
    if !matches!(body.first(), Some(0x80..=0x8F | 0xDE | 0xDF)) {
        let message = "the body is not a map of msgpack; expected one with the fields of the request";
        return Err(ApiError::new(Reason::InvalidInput, message));
    }
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(body));
    reader.set_max_depth(DEPTH_LIMIT + 1);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| unpacking(&error.path().to_string(), error.inner()))?;
    if reader.position() < body.len() as u64 {
        return Err(unreadable("something follows its end"));
    }
    Ok(value)
}

fn unreadable(why: &str) -> ApiError {
    ApiError::new(Reason::InvalidJson, format!("the body is not valid msgpack: {why}"))
}

fn unpacking(path: &str, error: &Unpacking) -> ApiError {
    match error {
        Unpacking::Syntax(text) => at_fault(path, text),
        Unpacking::TypeMismatch(_) | Unpacking::OutOfRange => at_fault(path, ""),
        Unpacking::DepthLimitExceeded => {
            ApiError::new(Reason::InvalidJson, format!("the body is nested deeper than {DEPTH_LIMIT} levels"))
        }
        Unpacking::InvalidMarkerRead(_) | Unpacking::InvalidDataRead(_) => unreadable("it ends too early"),
        Unpacking::Utf8Error(_) => unreadable("a text is not UTF-8"),
        Unpacking::LengthMismatch(_) | Unpacking::Uncategorized(_) => unreadable("a value has another length"),
    }
}

/// What a body is that is no object; `None` also for one that is nothing at all.
fn other_than_object(body: &[u8]) -> Option<&'static str> {
    match body.trim_ascii_start().first()? {
        b'[' => Some("an array"),
        b'"' => Some("a string"),
        b't' | b'f' => Some("true or false"),
        b'n' => Some("null"),
        b'-' | b'0'..=b'9' => Some("a number"),
        _ => None,
    }
}

fn broken(error: &serde_json::Error) -> ApiError {
    ApiError::new(Reason::InvalidJson, format!("the body is not valid JSON: {error}"))
}

/// Explains what is wrong and where.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let (inner, path) = (error.inner(), error.path().to_string());
    if inner.is_syntax() || inner.is_eof() {
        return broken(inner);
    }
    let text = inner.to_string();
    at_fault(&path, text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text))
}

/// The field that is at fault, what was expected, and the kind of what came. The value itself may be private, so it is never
/// repeated.
fn at_fault(path: &str, text: &str) -> ApiError {
    let field = path.split(['.', '[']).next().filter(|field| !field.is_empty() && *field != "?");
    if text.starts_with(TOO_MANY) {
        return ApiError::new(Reason::TooManyInputs, text);
    }
    // Written by serde or here, without a value from the body.
    const SAFE: &[&str] = &[
        "missing field",
        "duplicate field",
        "a token id is too large",
        "an array mixes",
        "expected `",
        "it has a setting that",
    ];
    let what = match (text.rsplit_once(", expected "), came(text)) {
        (Some((_, expected)), Some(kind)) => format!("expected {}, got {kind}", plain(expected)),
        (Some((_, expected)), None) => format!("expected {}", plain(expected)),
        // What types with several forms say that they are.
        (None, _) if text.starts_with("a string, ") => format!("expected {text}"),
        (None, _) if SAFE.iter().any(|start| text.starts_with(start)) => text.to_owned(),
        (None, _) => "has a value that is not accepted".to_owned(),
    };
    let message = match field {
        Some(_) => format!("{path}: {what}"),
        None => what,
    };
    let error = ApiError::new(Reason::InvalidInput, message);
    match field {
        Some(field) => error.param(field.to_owned()),
        None => error,
    }
}

/// The kind of the value that came, in JSON's words.
fn came(text: &str) -> Option<&'static str> {
    let rest = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))?;
    const KINDS: &[(&str, &str)] = &[
        ("null", "null"),
        ("unit value", "null"),
        ("byte array", "bytes"),
        ("boolean", "true or false"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("string", "a string"),
        ("sequence", "an array"),
        ("map", "an object"),
    ];
    KINDS.iter().find(|(start, _)| rest.starts_with(start)).map(|(_, kind)| *kind)
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
