//! Every way in which a request can fail: its code, status and body, in one table.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use strum::{IntoStaticStr, VariantArray};

use crate::endpoint::{Endpoint, ErrorShape};

/// Why a request failed. The codes are those of `contract::metrics::REASONS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The body is neither JSON nor msgpack, or ended early.
    InvalidJson,
    /// A field has a value that is not accepted, or the model lacks what the route needs.
    InvalidInput,
    /// The body is not announced as plain JSON, or as msgpack where a route takes it.
    UnsupportedMediaType,
    /// The route exists, but for another method.
    MethodNotAllowed,
    /// The request has no API key, or none of the worker's.
    Unauthorized,
    /// The request names another model.
    ModelNotFound,
    /// The body is larger than [`crate::admit::BODY_LIMIT`].
    RequestTooLarge,
    /// The body stopped coming.
    BodyTimeout,
    /// More texts than one request may have.
    TooManyInputs,
    /// A text has more tokens than the model takes.
    InputTooLong,
    /// No room for the texts, or for the body; a retry makes sense.
    QueueFull,
    /// The model is not loaded yet.
    ModelLoading,
    /// The worker is shutting down.
    Draining,
    /// The request's time limit passed.
    DeadlineExceeded,
    /// The caller left before its body was complete.
    ClientClosedRequest,
    /// The tokenizer or the model failed; the log says why.
    InferenceFailed,
}

impl Reason {
    /// Every reason. A test compares them with the contract.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The `code` of the error body, and the value of the label `reason`.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// 413 is only for a body with too many bytes: clients of such servers split a batch on 413, which does not shorten
    /// a text. A text that is too long is 400 with OpenAI and SIE, and 422 with text-embeddings-inference, as their
    /// clients expect. SIE's clients retry a 429 as its own 503 of a full queue.
    pub fn status(self, endpoint: Endpoint) -> StatusCode {
        match self {
            Self::InvalidJson | Self::InvalidInput => StatusCode::BAD_REQUEST,
            Self::InputTooLong if endpoint.error_shape() != ErrorShape::Flat => StatusCode::BAD_REQUEST,
            Self::InputTooLong | Self::TooManyInputs => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::ModelNotFound => StatusCode::NOT_FOUND,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            // nginx's status for a caller that left; it is counted, and never arrives.
            Self::ClientClosedRequest => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::QueueFull => StatusCode::TOO_MANY_REQUESTS,
            Self::ModelLoading | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::InferenceFailed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A failed request: how to count it, and how to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Decides status and code.
    pub reason: Reason,
    /// One line for the caller. It never holds a piece of the request's text.
    pub message: String,
    /// The field of the request that is at fault.
    pub param: Option<Cow<'static, str>>,
    /// Whole seconds after which a retry makes sense.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// An error without a field at fault, and without advice to retry.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), param: None, retry_after: None }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn param(self, param: impl Into<Cow<'static, str>>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// Asks the caller to retry after this many seconds; 0 becomes 1.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    /// The answer, with the status that this endpoint's clients expect.
    pub fn into_response(self, endpoint: Endpoint) -> Response {
        let (status, param) = (self.reason.status(endpoint), self.param.as_deref());
        let mut response = match endpoint.error_shape() {
            ErrorShape::OpenAi => body(status, self.reason.code(), &self.message, param),
            ErrorShape::Flat => flat(status, self.reason, &self.message, param),
            ErrorShape::Detail => detail(status, self.reason, &self.message, param),
        };
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // A draining worker's callers should connect elsewhere, and the rest of such a body is not read.
        if matches!(self.reason, Reason::Draining | Reason::RequestTooLarge | Reason::BodyTimeout) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The error body that clients of text-embeddings-inference read: `error` and `error_type` as that server writes them.
fn flat(status: StatusCode, reason: Reason, message: &str, param: Option<&str>) -> Response {
    let kind = match reason {
        Reason::QueueFull => "Overloaded",
        Reason::ModelLoading | Reason::Draining => "Unhealthy",
        Reason::InferenceFailed | Reason::DeadlineExceeded => "Backend",
        _ => "Validation",
    };
    let error = json!({ "error": message, "error_type": kind, "param": param, "code": reason.code() });
    (status, axum::Json(error)).into_response()
}

/// The error body that SIE's clients read, with SIE's codes: by them a client waits for a model that is being loaded, or
/// knows a text that is too long.
fn detail(status: StatusCode, reason: Reason, message: &str, param: Option<&str>) -> Response {
    let code = match reason {
        Reason::InvalidJson => Cow::from("INVALID_INPUT"),
        // A retry reaches another worker, as it does where SIE drains one.
        Reason::Draining => "MODEL_LOADING".into(),
        Reason::InferenceFailed => "INFERENCE_ERROR".into(),
        other => other.code().to_ascii_uppercase().into(),
    };
    let error = json!({ "detail": { "code": code, "message": message, "param": param } });
    (status, axum::Json(error)).into_response()
}

/// The error body that OpenAI's clients read.
pub fn body(status: StatusCode, code: &str, message: &str, param: Option<&str>) -> Response {
    let kind = match status.as_u16() {
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let error = json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
    (status, axum::Json(error)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::contract::metrics::{REASONS, STATUSES};

    #[test]
    fn every_reason_and_status_is_one_of_the_contract() {
        for reason in Reason::ALL {
            assert!(REASONS.contains(&reason.code()), "{reason:?}");
            for endpoint in Endpoint::ALL {
                assert!(STATUSES.contains(&reason.status(*endpoint).as_str()), "{reason:?}");
            }
        }
        let ours: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        let elsewhere = ["ok"];
        assert!(REASONS.iter().all(|code| ours.contains(code) || elsewhere.contains(code)));
    }

    #[test]
    fn a_retry_is_never_asked_for_at_once() {
        assert_eq!(ApiError::new(Reason::QueueFull, "x").retry_after(0).retry_after, Some(1));
    }
}
