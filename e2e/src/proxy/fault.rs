//! What the proxy can do to a request.

use std::time::Duration;

use axum::body::Body;
use http::{Response, header};
use serde_json::json;

use super::Call;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is passed on after a pause.
    Delay(Duration),
    /// It is not passed on, and answered with an error.
    Refuse(Refusal),
    /// It is passed on and takes effect; its answer is lost, and an error takes its place.
    LoseAnswer(Refusal),
    /// It is passed on and takes effect; its answer arrives after a pause.
    LateAnswer(Duration),
    /// It is not passed on; the connection breaks.
    BreakBefore,
    /// It is passed on and takes effect; the connection breaks before the answer.
    BreakAfter,
    /// It is not passed on and not answered, on a connection that stays open until the proxy behaves again.
    Swallow,
    /// It is passed on and takes effect; then [`super::Proxy::frozen`] returns. No answer comes until the proxy
    /// behaves again; then the connection breaks.
    Freeze,
    /// A list is answered as it was when [`super::Proxy::remember_lists`] was called.
    StaleList,
    /// A watch that ends in that way after so many events.
    EndWatch(usize, WatchEnd),
    /// A watch that keeps back one event, counted from 1.
    SkipEvent(usize),
}

/// How a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// Regularly, between two events.
    Close,
    /// In the middle of an event.
    Cut,
    /// With a line that is no JSON.
    Garbage,
    /// With the error that its history is gone.
    Gone,
    /// Not at all: the connection stays open, and no event comes any more.
    Hang,
}

/// An error that takes the place of the API server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// Seconds in `Retry-After`.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// Without `Retry-After`.
    pub const fn new(code: u16) -> Self {
        Self { code, retry_after: None }
    }

    /// What Kubernetes calls the status.
    const fn reason(self) -> &'static str {
        match self.code {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        }
    }

    fn status(self) -> serde_json::Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": self.code, "reason": self.reason(), "message": "a fault that a test put in",
        })
    }

    /// As an answer to a request.
    pub(super) fn response(self) -> Result<Response<Body>, http::Error> {
        let mut response = Response::builder().status(self.code).header(header::CONTENT_TYPE, "application/json");
        if let Some(seconds) = self.retry_after {
            response = response.header(header::RETRY_AFTER, seconds);
        }
        response.body(Body::from(self.status().to_string()))
    }

    /// As an event of a watch.
    pub(super) fn event(self) -> String {
        format!("{}\n", json!({"type": "ERROR", "object": self.status()}))
    }
}

/// Which fault befalls which request.
pub type Script = Box<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;
