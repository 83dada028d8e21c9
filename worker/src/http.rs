//! The routes, and the path of an inference request: admit → tokenize → queue → batch → forward → respond.

pub mod input;
pub mod openai;
pub mod probes;
pub mod request_id;
pub mod tei;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use belfry_crds::contract::{LIVENESS_PATH, METRICS_PATH, READINESS_PATH};

use crate::admit::{self, Body};
use crate::endpoint::Endpoint;
use crate::engine::Output;
use crate::error::{ApiError, Reason, body};
use crate::http::input::Input;
use crate::http::request_id::RequestId;
use crate::respond::{Format, Shape};
use crate::rows::{self, Rows};
use crate::server::Admission;
use crate::state::{App, Model, Prompt};
use crate::tokenize::{Encoded, Refused};

/// Parts of the queue that a request takes at once if the queue can't hold all its texts; the rest is for others.
const PARTS: usize = 4;

/// All routes of the worker.
pub fn router(app: Arc<App>) -> Router {
    let embeddings = |State(app), request| answer(app, Endpoint::Embeddings, request);
    let embed = |State(app), request| answer(app, Endpoint::Embed, request);
    let not_embeddings = |State(app): State<Arc<App>>| async move { wrong_method(&app, Endpoint::Embeddings) };
    let not_embed = |State(app): State<Arc<App>>| async move { wrong_method(&app, Endpoint::Embed) };
    Router::new()
        .route(Endpoint::Embeddings.path(), post(embeddings).fallback(not_embeddings))
        .route(Endpoint::Embed.path(), post(embed).fallback(not_embed))
        .route("/v1/models", get(probes::models))
        .route("/info", get(probes::info))
        .route(LIVENESS_PATH, get(probes::alive))
        .route(READINESS_PATH, get(probes::ready))
        .route(METRICS_PATH, get(probes::metrics))
        .fallback(async || body(StatusCode::NOT_FOUND, "not_found", "there is no such route", None))
        .method_not_allowed_fallback(async || {
            let code = Reason::MethodNotAllowed.code();
            body(StatusCode::METHOD_NOT_ALLOWED, code, "this route only answers GET", None)
        })
        .layer(axum::middleware::from_fn(request_id::layer))
        .with_state(app)
}

fn wrong_method(app: &App, endpoint: Endpoint) -> Response {
    let error = ApiError::new(Reason::MethodNotAllowed, "this route only answers POST");
    let status = error.reason.status(endpoint);
    app.metrics.answered(endpoint, (status.as_str(), error.reason.code()), Duration::ZERO);
    error.into_response(endpoint)
}

/// What goes before each text of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PromptChoice {
    /// The model's default prompt, if it has one.
    #[default]
    Default,
    /// The model's prompt of this name.
    Named(String),
    /// A text of the caller's.
    Own(String),
}

impl PromptChoice {
    /// What the fields `prompt_name` and `prompt` ask for.
    pub fn of(name: Option<String>, own: Option<String>) -> Result<Self, ApiError> {
        match (name, own) {
            (None, None) => Ok(Self::Default),
            (Some(name), None) => Ok(Self::Named(name)),
            (None, Some(text)) => Ok(Self::Own(text)),
            (Some(_), Some(_)) => {
                let message = "prompt and prompt_name are both set; send one of them";
                Err(ApiError::new(Reason::InvalidInput, message).param("prompt"))
            }
        }
    }

    fn resolve(self, model: &Model) -> Result<Prompt, ApiError> {
        match self {
            Self::Default => Ok(model.default_prompt()),
            Self::Own(text) => Ok(model.prompt(text)),
            Self::Named(name) => model.prompt_named(&name).ok_or_else(|| {
                let names = model.presets.prompts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let has = if names.is_empty() {
                    "this model has no prompts".to_owned()
                } else {
                    format!("this model has {names}")
                };
                ApiError::new(Reason::InvalidInput, format!("there is no prompt of that name; {has}"))
                    .param("prompt_name")
            }),
        }
    }
}

/// The request that a route's body holds.
#[derive(Debug)]
pub struct Wanted {
    /// The texts.
    pub input: Input,
    /// Cut a text that is too long, instead of refusing it; by default as the worker was started.
    pub truncate: Option<bool>,
    /// Bring vectors to length 1, or leave them as they are; by default as the model defines them.
    pub normalize: Option<bool>,
    /// Values of each vector to keep, from the first on; by default as the model defines them.
    pub dimensions: Option<usize>,
    /// What goes before each text.
    pub prompt: PromptChoice,
    /// How vectors are written.
    pub format: Format,
}

/// One inference request, counted exactly once: when it is answered, or when it is dropped because its caller
/// disconnected.
struct Call {
    app: Arc<App>,
    endpoint: Endpoint,
    id: String,
    /// When the last byte of the body arrived; before that, when the first byte of the head arrived.
    began: Instant,
    texts: usize,
    answered: bool,
}

impl Call {
    fn new(app: Arc<App>, endpoint: Endpoint, request: &Request) -> Self {
        app.metrics.active_requests.inc();
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        Self { app, endpoint, id, began: Instant::now(), texts: 0, answered: false }
    }

    fn count(&mut self, status: &str, reason: &'static str) {
        self.answered = true;
        let took = self.began.elapsed();
        self.app.metrics.answered(self.endpoint, (status, reason), took);
        let (endpoint, milliseconds) = (self.endpoint.path(), took.as_millis() as u64);
        let (request_id, texts) = (self.id.as_str(), self.texts);
        macro_rules! log {
            ($level:ident, $message:literal) => {
                tracing::$level!(request_id, endpoint, status, reason, texts, milliseconds, $message)
            };
        }
        // Logging every answered request at info would be most of a busy worker's work.
        match reason {
            "ok" => log!(debug, "Request answered"),
            _ if status.starts_with('5') => log!(warn, "Request failed"),
            _ => log!(info, "Request refused"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered {
            self.count("499", "client_closed_request");
        }
        self.app.metrics.active_requests.dec();
    }
}

async fn answer(app: Arc<App>, endpoint: Endpoint, request: Request) -> Response {
    let mut call = Call::new(Arc::clone(&app), endpoint, &request);
    let outcome = steps(&mut call, request).await;
    match outcome {
        Ok(response) => {
            call.count("200", "ok");
            response
        }
        Err(error) => {
            call.count(error.reason.status(endpoint).as_str(), error.reason.code());
            error.into_response(endpoint)
        }
    }
}

/// Reads the body, whose time is the caller's, and then computes the answer within the time limit of a request.
async fn steps(call: &mut Call, request: Request) -> Result<Response, ApiError> {
    let app = Arc::clone(&call.app);
    let admission = request.extensions().get().copied().unwrap_or(Admission::Open);
    admit::open(&app, admission)?;
    let body = admit::body(&app, request).await?;
    call.began = Instant::now();
    let limit = app.limits.request_timeout();
    let deadline = call.began + limit;
    tokio::time::timeout_at(deadline.into(), compute(call, &app, body, deadline)).await.unwrap_or_else(|_| {
        let message = format!("not answered within {} ms; send fewer texts, or retry later", limit.as_millis());
        Err(ApiError::new(Reason::DeadlineExceeded, message))
    })
}

async fn compute(call: &mut Call, app: &Arc<App>, body: Body, deadline: Instant) -> Result<Response, ApiError> {
    let model = app.model().ok_or_else(|| ApiError::new(Reason::ModelLoading, "the model is still being loaded"))?;
    admit::output(model, Output::Dense)?;
    let wanted = match call.endpoint {
        Endpoint::Embeddings => openai::parse(&body.bytes, app)?,
        Endpoint::Embed => tei::parse(&body.bytes)?,
    };
    if let Some(dimensions) = wanted.dimensions.filter(|d| !(1..=model.dimensions).contains(d)) {
        let message = format!("dimensions is {dimensions}; this model has 1 to {}", model.dimensions);
        return Err(ApiError::new(Reason::InvalidInput, message).param("dimensions"));
    }
    call.texts = wanted.input.len();
    admit::count(app, call.texts).map_err(|error| error.param(call.endpoint.input_name()))?;
    let shape = Shape::of(&model.presets, wanted.normalize, wanted.dimensions);
    let truncate = wanted.truncate.unwrap_or(app.limits.auto_truncate);
    let texts = Texts { input: wanted.input, prompt: wanted.prompt.resolve(model)?, truncate };
    let Passed { rows, tokens } = pass(app, call.endpoint, texts, deadline).await?;
    let vectors = rows.into_iter().map(|vector| shape.apply(vector)).collect();
    Ok(match call.endpoint {
        Endpoint::Embeddings => crate::respond::openai(&app.name, vectors, wanted.format, tokens),
        Endpoint::Embed => crate::respond::tei(vectors),
    })
}

/// The texts of a request, and how they are tokenized.
struct Texts {
    input: Input,
    prompt: Prompt,
    truncate: bool,
}

/// What came out of the model for a request.
struct Passed {
    rows: Vec<Vec<f32>>,
    tokens: usize,
}

/// Sends texts through the model: at once if the queue can hold them, else in parts, each when there is room for it.
/// The first part must find room, so that a busy worker says so at once.
async fn pass(app: &Arc<App>, endpoint: Endpoint, texts: Texts, deadline: Instant) -> Result<Passed, ApiError> {
    let Texts { input, prompt, truncate } = texts;
    let capacity = app.limits.queue_capacity;
    let size = if input.len() <= capacity { capacity } else { capacity.div_ceil(PARTS) };
    let mut passed = Passed { rows: Vec::with_capacity(input.len()), tokens: 0 };
    let mut took = [Duration::ZERO; 3];
    for part in input.split(size) {
        let (first, offset, count) = (passed.rows.is_empty(), passed.rows.len(), part.len());
        let room = if first {
            admit::room(app, count).map_err(|error| error.param(endpoint.input_name()))?
        } else {
            app.inbox.wait_for_room(count).await
        };
        let began = Instant::now();
        let encoded = tokenize(app, endpoint, (part, prompt.clone()), (truncate, offset)).await?;
        let tokenized = began.elapsed();
        let Rows { rows, tokens, queue, inference } = rows::dense(app, room, encoded, deadline).await?;
        passed.rows.extend(rows);
        passed.tokens += tokens;
        for (sum, part) in took.iter_mut().zip([tokenized, queue, inference]) {
            *sum += part;
        }
    }
    for (phase, took) in ["tokenize", "queue", "inference"].into_iter().zip(took) {
        app.metrics.phase(phase, took);
    }
    Ok(passed)
}

/// Tokenizes on a thread for blocking work; as many requests at once as there are compute threads.
async fn tokenize(
    app: &Arc<App>,
    endpoint: Endpoint,
    (input, prompt): (Input, Prompt),
    (truncate, offset): (bool, usize),
) -> Result<Vec<Encoded>, ApiError> {
    let failed =
        || ApiError::new(Reason::InferenceFailed, "the tokenizer failed on this request; the worker's log says why");
    let _permit = app.tokenizing.acquire().await.map_err(|_| failed())?;
    let shared = Arc::clone(app);
    let work = move || shared.model().map(|model| encode(model, input, &prompt, truncate));
    match tokio::task::spawn_blocking(work).await {
        Ok(Some(Ok(texts))) => Ok(texts),
        Ok(Some(Err((index, refused)))) => Err(refusal(endpoint, offset + index, &refused)),
        Ok(None) | Err(_) => Err(failed()),
    }
}

fn encode(model: &Model, input: Input, prompt: &Prompt, truncate: bool) -> Result<Vec<Encoded>, (usize, Refused)> {
    let placed = |(index, result): (usize, Result<Encoded, Refused>)| result.map_err(|refused| (index, refused));
    match input {
        Input::Texts(texts) => {
            texts.iter().map(|text| model.encode(prompt, text, truncate)).enumerate().map(placed).collect()
        }
        // The caller has put a prompt's ids before the others, or wants none.
        Input::Ids(lists) => {
            lists.into_iter().map(|ids| model.tokenizer.ids(ids, truncate)).enumerate().map(placed).collect()
        }
    }
}

fn refusal(endpoint: Endpoint, index: usize, refused: &Refused) -> ApiError {
    let reason = match refused {
        Refused::TooManyTokens { .. } | Refused::OnlyPrompt => Reason::InputTooLong,
        Refused::UnknownId { .. } | Refused::Empty => Reason::InvalidInput,
        Refused::Tokenizer => Reason::InferenceFailed,
    };
    ApiError::new(reason, format!("input {index} {refused}")).param(endpoint.input_name())
}
