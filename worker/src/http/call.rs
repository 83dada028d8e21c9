//! One inference request: counted once, admitted, read, and answered in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use super::access::KeyId;
use super::request_id::RequestId;
use crate::admit;
use crate::endpoint::Endpoint;
use crate::error::{ApiError, Reason};
use crate::server::Admission;
use crate::state::{App, Model};
use crate::trace::{Ended, Trace};

/// The header in which a caller says how long it waits for its answer.
const TIMEOUT: &str = "x-request-timeout-ms";

/// The header in which a caller that began no trace finds the one of its request (<https://w3c.github.io/trace-context/>).
const TRACE: HeaderName = HeaderName::from_static("traceresponse");

/// One inference request, counted exactly once: when it is answered, or when it is dropped because its caller
/// disconnected.
struct Call {
    app: Arc<App>,
    endpoint: Endpoint,
    id: String,
    trace: Trace,
    /// The key that the caller has, where keys are asked for.
    key: Option<KeyId>,
    /// When the last byte of the body arrived; before that, when the first byte of the head arrived.
    began: Instant,
    size: Size,
    /// The body is complete, so that the caller waits for the worker.
    is_read: bool,
    answered: bool,
}

/// How much a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// Texts that it is counted by.
    pub(super) texts: usize,
    /// Tokens of what went through the model.
    pub(super) tokens: usize,
}

impl Call {
    fn new(app: Arc<App>, endpoint: Endpoint, request: &Request) -> Self {
        app.metrics.active_requests.inc();
        let id = request_id(request).to_owned();
        let head = (endpoint, request.uri().path(), request.headers());
        let trace = Trace::begin(app.traces.as_ref(), head, (&app.name, &id));
        let (key, size) = (request.extensions().get().cloned(), Size::default());
        Self { app, endpoint, id, trace, key, began: Instant::now(), size, is_read: false, answered: false }
    }

    fn count(&mut self, status: &str, reason: &'static str) {
        self.answered = true;
        let took = self.began.elapsed();
        self.app.metrics.answered(self.endpoint, (status, reason), took, self.trace.sampled());
        let (endpoint, latency_ms) = (self.endpoint.path(), (took.as_secs_f64() * 1e5).round() / 100.0);
        let Size { texts: batch_size, tokens } = self.size;
        self.trace.end(&Ended { status, reason, texts: batch_size, tokens });
        let (request_id, trace_id, span_id) = (self.id.as_str(), self.trace.trace_id(), self.trace.span_id());
        let key_id = self.key.as_ref().map(|key| key.0.as_str());
        macro_rules! log {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    request_id, trace_id, span_id, key_id, endpoint, status, reason, batch_size, latency_ms, $message
                )
            };
        }
        // A line at info for every answered request would be most of a busy worker's work, unless its user asks for it.
        match reason {
            "ok" if self.app.logged.picks() => log!(info, "Request answered"),
            "ok" => log!(debug, "Request answered"),
            "client_closed_request" => log!(info, "Caller left"),
            _ if status.starts_with('5') => log!(warn, "Request failed"),
            _ => log!(info, "Request refused"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered {
            if self.is_read {
                self.app.metrics.abandoned(self.began.elapsed());
            }
            self.count("499", "client_closed_request");
        }
        self.app.metrics.active_requests.dec();
    }
}

/// What the code of a route works with.
pub(super) struct Exchange<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) model: &'a Model,
    pub(super) endpoint: Endpoint,
    /// The path and the headers of the request.
    pub(super) head: &'a Parts,
    /// The id of the request.
    pub(super) id: &'a str,
    /// When the body was complete.
    pub(super) began: Instant,
    /// Time at which the request is answered with 504.
    pub(super) deadline: Instant,
    /// How much the request asks for, for its log line and its span.
    pub(super) size: &'a mut Size,
    pub(super) trace: &'a Trace,
}

/// Answers a request by the code of its route, which gets the body.
pub(super) async fn answer<F>(app: Arc<App>, endpoint: Endpoint, request: Request, route: F) -> Response
where
    F: AsyncFnOnce(Exchange<'_>, Bytes) -> Result<Response, ApiError>,
{
    let mut call = Call::new(Arc::clone(&app), endpoint, &request);
    let mut response = match steps(&mut call, &app, request, route).await {
        Ok(response) => {
            call.count("200", "ok");
            response
        }
        Err(error) => {
            call.count(error.reason.status(endpoint).as_str(), error.reason.code());
            error.into_response(endpoint)
        }
    };
    // Every answer is whole before it is sent, so that its size is known.
    app.metrics.response_bytes.inc_by(response.body().size_hint().lower());
    if let Some(span) = call.trace.traceparent().and_then(|span| HeaderValue::try_from(span).ok()) {
        response.headers_mut().insert(TRACE, span);
    }
    response
}

/// Reads the body, whose time is the caller's, and then computes the answer within the time limit of a request.
async fn steps<F>(call: &mut Call, app: &Arc<App>, request: Request, route: F) -> Result<Response, ApiError>
where
    F: AsyncFnOnce(Exchange<'_>, Bytes) -> Result<Response, ApiError>,
{
    let limit = limit(request.headers(), app.limits.request_timeout())?;
    let reading = call.trace.phase("receive", call.began);
    let (model, head, body) = admitted(app, call.endpoint, request).await?;
    drop(reading);
    (call.began, call.is_read) = (Instant::now(), true);
    app.metrics.request_bytes.inc_by(body.bytes.len() as u64);
    let deadline = call.began + limit;
    let exchange = Exchange {
        app,
        model,
        endpoint: call.endpoint,
        head: &head,
        id: &call.id,
        began: call.began,
        deadline,
        size: &mut call.size,
        trace: &call.trace,
    };
    let bytes = body.bytes.clone();
    tokio::time::timeout_at(deadline.into(), route(exchange, bytes)).await.unwrap_or_else(|_| {
        let message = format!("not answered within {} ms; send fewer texts, or retry later", limit.as_millis());
        Err(ApiError::new(Reason::DeadlineExceeded, message))
    })
}

/// Admits a request, and reads its body.
pub(super) async fn admitted(
    app: &App,
    endpoint: Endpoint,
    request: Request,
) -> Result<(&Model, Parts, admit::Body), ApiError> {
    let admission = request.extensions().get().copied().unwrap_or(Admission::Open);
    let model = admit::open(app, admission)?;
    let (head, body) = request.into_parts();
    let body = admit::body(app, endpoint, (&head, body)).await?;
    Ok((model, head, body))
}

/// The time limit of a request: the worker's, or what the caller says if that is shorter. A caller that has left by then
/// would otherwise be computed for in vain.
fn limit(headers: &HeaderMap, most: Duration) -> Result<Duration, ApiError> {
    let Some(given) = headers.get(TIMEOUT) else { return Ok(most) };
    match given.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(milliseconds @ 1..) => Ok(most.min(Duration::from_millis(milliseconds))),
        _ => {
            let message = format!("the header {TIMEOUT} is not a whole number of milliseconds from 1 on");
            Err(ApiError::new(Reason::InvalidInput, message).param(TIMEOUT))
        }
    }
}

/// Its layer has given every request an id.
fn request_id(request: &Request) -> &str {
    request.extensions().get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default()
}

/// Counts and answers a request with the wrong method.
pub(super) fn wrong_method(app: &App, endpoint: Endpoint, request: &Request) -> Response {
    let error = ApiError::new(Reason::MethodNotAllowed, "this route only answers POST");
    let status = error.reason.status(endpoint);
    app.metrics.answered(endpoint, (status.as_str(), error.reason.code()), Duration::ZERO, None);
    tracing::info!(
        request_id = request_id(request),
        trace_id = belfry_traces::trace_id(request.headers()),
        endpoint = endpoint.path(),
        status = status.as_str(),
        reason = error.reason.code(),
        "Request refused"
    );
    error.into_response(endpoint)
}
