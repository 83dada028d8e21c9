//! JSON or msgpack: how the body of a request is written, and how its answer is.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::input;
use crate::error::{ApiError, Reason};

/// The content type of msgpack.
const MSGPACK: &str = "application/msgpack";

/// The same, as it was written before it was registered.
const X_MSGPACK: &str = "application/x-msgpack";

/// How something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Json,
    Msgpack,
}

impl Wire {
    /// How a body is written, by its content type.
    pub(super) fn of_body(headers: &HeaderMap) -> Self {
        let kind = text(headers, header::CONTENT_TYPE);
        if kind.contains(MSGPACK) || kind.contains(X_MSGPACK) { Self::Msgpack } else { Self::Json }
    }

    /// How the answer is to be written: msgpack, unless the caller takes JSON and does not name msgpack. SIE's server
    /// chooses so.
    pub(super) fn of_answer(headers: &HeaderMap) -> Self {
        let accepted = text(headers, header::ACCEPT);
        let names_msgpack = accepted.contains(MSGPACK) || accepted.contains(X_MSGPACK);
        if accepted.contains("application/json") && !names_msgpack { Self::Json } else { Self::Msgpack }
    }

    /// Reads a body.
    pub(super) fn read<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, ApiError> {
        match self {
            Self::Json => input::parse(body),
            Self::Msgpack => input::unpack(body),
        }
    }

    /// Writes an answer.
    pub(super) fn write(self, answer: &impl Serialize) -> Result<Response, ApiError> {
        match self {
            Self::Json => Ok(axum::Json(answer).into_response()),
            Self::Msgpack => {
                let packed = rmp_serde::to_vec_named(answer).map_err(|_| {
                    ApiError::new(Reason::InferenceFailed, "the answer could not be written as msgpack")
                })?;
                Ok(([(header::CONTENT_TYPE, MSGPACK)], packed).into_response())
            }
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn an_answer_is_msgpack_unless_the_caller_takes_json_alone() {
        let accept = |value: &'static str| {
            Wire::of_answer(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]))
        };
        for json in ["application/json", "APPLICATION/JSON; q=0.9", "text/html, application/json"] {
            assert_eq!(accept(json), Wire::Json, "{json}");
        }
        for msgpack in ["", "*/*", "application/msgpack", "application/json, application/x-msgpack", "text/html"] {
            assert_eq!(accept(msgpack), Wire::Msgpack, "{msgpack}");
        }
        assert_eq!(Wire::of_answer(&HeaderMap::new()), Wire::Msgpack);
    }
}
