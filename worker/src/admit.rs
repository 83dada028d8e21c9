//! The first stage: checks that the model is loaded, that the body is acceptable, and that the queue has room for its
//! texts.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::endpoint::Endpoint;
use crate::engine::Output;
use crate::error::{ApiError, Reason};
use crate::inbox::Reserved;
use crate::lifecycle::State;
use crate::server::Admission;
use crate::state::{App, Model};

/// Most bytes in one request: 256 texts of 512 tokens are about 600 kB, as token ids about 1 MB.
pub const BODY_LIMIT: usize = 8 << 20;

/// Seconds after which a caller may retry while the model is being loaded.
const LOADING_RETRY_AFTER: u64 = 5;

/// Longest pause between two pieces of a body.
const BODY_STALL: Duration = Duration::from_secs(10);

/// Most bytes that are read and discarded of a body that is too large.
const DISCARD_LIMIT: usize = 4 * BODY_LIMIT;

/// Refuses requests before the model is loaded, and once the worker shuts down. A connection that was open before may
/// still send one: its caller does not know yet.
pub fn open(app: &App, admission: Admission) -> Result<&Model, ApiError> {
    match (app.lifecycle.state(), app.model()) {
        (State::Ready | State::Draining, Some(model)) => Ok(model),
        (State::Refusing, Some(model)) if admission == Admission::Open => Ok(model),
        (State::Draining | State::Refusing, _) => {
            Err(ApiError::new(Reason::Draining, "this worker is shutting down; retry on another one").retry_after(1))
        }
        _ => Err(ApiError::new(Reason::ModelLoading, "the model is still being loaded; retry later")
            .retry_after(LOADING_RETRY_AFTER)),
    }
}

/// Refuses a request for an output that the model does not have.
pub fn output(model: &Model, wanted: Output) -> Result<(), ApiError> {
    if model.outputs.has(wanted) {
        return Ok(());
    }
    let has = model.outputs.iter().map(Output::name).collect::<Vec<_>>().join(", ");
    let message = format!("this route answers with {wanted} output, and this model has only: {has}");
    Err(ApiError::new(Reason::InvalidInput, message))
}

/// A body, and its share of the memory for bodies.
pub struct Body {
    /// The body as it came, at most [`BODY_LIMIT`] long.
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Reads a body within the limits of one request and of all of them.
pub async fn body(
    app: &App,
    endpoint: Endpoint,
    (head, mut body): (&Parts, axum::body::Body),
) -> Result<Body, ApiError> {
    media_type(endpoint, &head.headers)?;
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let (mut bytes, mut share) = (Vec::new(), None::<OwnedSemaphorePermit>);
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large(body).await);
    }
    let end = Instant::now() + app.limits.request_timeout();
    loop {
        let next = timeout_at(end.min(Instant::now() + BODY_STALL), body.frame());
        let Some(frame) = next.await.map_err(|_| stalled())? else { break };
        let frame = frame.map_err(|_| ApiError::new(Reason::ClientClosedRequest, "the caller left within its body"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > BODY_LIMIT {
            return Err(too_large(body).await);
        }
        let kib = u32::try_from(data.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let more = Arc::clone(&app.bodies).try_acquire_many_owned(kib).map_err(|_| {
            ApiError::new(Reason::QueueFull, "too many large requests at once; retry later").retry_after(1)
        })?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Body { bytes: bytes.into(), _share: share })
}

fn stalled() -> ApiError {
    let message = "the body did not arrive in time; send it without pauses";
    ApiError::new(Reason::BodyTimeout, message)
}

/// A caller that is still sending when the connection closes sees a reset, and not the answer. So the rest of the body
/// is read and discarded, up to [`DISCARD_LIMIT`].
async fn too_large(mut body: axum::body::Body) -> ApiError {
    let mut left = DISCARD_LIMIT;
    while let Ok(Some(Ok(frame))) = timeout(BODY_STALL, body.frame()).await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(less) => left = less,
            None => break,
        }
    }
    ApiError::new(
        Reason::RequestTooLarge,
        format!("the body is larger than {BODY_LIMIT} bytes; send fewer texts at once"),
    )
}

/// Accepts only plain JSON, and msgpack where the route takes it, because a compressed body could unpack to any size. A
/// body without a content type, as `kubectl create --raw` sends it, is read as JSON.
fn media_type(endpoint: Endpoint, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let (names, message): (&[&str], _) = if endpoint.takes_msgpack() {
        (
            &["application/json", "application/msgpack", "application/x-msgpack"],
            "the body must be msgpack or JSON, and content-type must say application/msgpack or application/json",
        )
    } else {
        (&["application/json"], "the body must be JSON, and content-type must say application/json")
    };
    let kind = text(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| !kind.split(';').next().is_some_and(|kind| names.contains(&kind.trim()))) {
        return Err(ApiError::new(Reason::UnsupportedMediaType, message));
    }
    match text(header::CONTENT_ENCODING).as_deref() {
        None | Some("identity") => Ok(()),
        Some(_) => Err(ApiError::new(Reason::UnsupportedMediaType, "compressed bodies are not accepted")),
    }
}

/// How many times more texts a request of OpenAI's clients may have than one of the others. Those clients send up to 2048 in
/// one request, and `LangChain` 1000, which the default of 256 would refuse.
const OPENAI_TIMES: usize = 8;

/// Refuses a request with more texts than one may have.
pub fn count(app: &App, endpoint: Endpoint, texts: usize) -> Result<(), ApiError> {
    let (most, setting) = match endpoint {
        Endpoint::Embeddings => {
            let most = app.limits.max_client_batch_size.saturating_mul(OPENAI_TIMES);
            (most, format!("{OPENAI_TIMES} times max_client_batch_size"))
        }
        _ => (app.limits.max_client_batch_size, "max_client_batch_size".to_owned()),
    };
    if texts <= most {
        return Ok(());
    }
    let message = format!("{texts} inputs in one request; at most {most} are accepted ({setting})");
    Err(ApiError::new(Reason::TooManyInputs, message))
}

/// Reserves room for texts, or says when to retry.
pub fn room(app: &App, texts: usize) -> Result<Reserved<'_>, ApiError> {
    app.inbox.reserve(texts).map_err(|full| {
        let message = format!("the queue of {} texts is full; retry later", app.limits.queue_capacity);
        ApiError::new(Reason::QueueFull, message).retry_after(full.retry_after)
    })
}
