//! What is wrong with a body, and where, without its values.

use rmp_serde::decode::Error as Unpacking;

use super::values::TOO_MANY;
use crate::error::{ApiError, Reason};
use crate::plain::{plain, syntax};

/// The body is nested deeper than what is read.
pub(super) fn too_deep(limit: usize) -> ApiError {
    ApiError::new(Reason::InvalidJson, format!("the body is nested deeper than {limit} levels"))
}

/// The body is not msgpack.
pub(super) fn unreadable(why: &str) -> ApiError {
    ApiError::new(Reason::InvalidJson, format!("the body is not valid msgpack: {why}"))
}

/// What is wrong with a body in msgpack.
pub(super) fn unpacking(path: &str, error: &Unpacking, limit: usize) -> ApiError {
    match error {
        Unpacking::Syntax(text) => at_fault(path, text),
        Unpacking::TypeMismatch(_) | Unpacking::OutOfRange => at_fault(path, ""),
        Unpacking::DepthLimitExceeded => too_deep(limit),
        Unpacking::InvalidMarkerRead(_) | Unpacking::InvalidDataRead(_) => unreadable("it ends too early"),
        Unpacking::Utf8Error(_) => unreadable("a text is not UTF-8"),
        Unpacking::LengthMismatch(_) | Unpacking::Uncategorized(_) => unreadable("a value has another length"),
    }
}

/// The body is not JSON.
pub(super) fn broken(error: &serde_json::Error) -> ApiError {
    ApiError::new(Reason::InvalidJson, format!("the body is not valid JSON: {}", syntax(error)))
}

/// Explains what is wrong and where.
pub(super) fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
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
