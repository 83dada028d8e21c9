//! Reads a body, and bounds how deep.

use std::io::Cursor;

use serde::de::DeserializeOwned;

use super::explain::{broken, explain, too_deep, unpacking, unreadable};
use crate::error::{ApiError, Reason};

/// Deepest nesting that is read. Nothing here needs more than three levels.
const DEPTH_LIMIT: usize = 64;

/// Reads a body, which is an object. Fields that are not known are ignored.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if deeper_than(body, DEPTH_LIMIT) {
        return Err(too_deep(DEPTH_LIMIT));
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
        .map_err(|error| unpacking(&error.path().to_string(), error.inner(), DEPTH_LIMIT))?;
    if reader.position() < body.len() as u64 {
        return Err(unreadable("something follows its end"));
    }
    Ok(value)
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
