//! The way of a request's texts through the model: at once if the queue can hold them, else in parts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Exchange;
use super::input::Input;
use crate::admit;
use crate::endpoint::Endpoint;
use crate::engine::{Output, OutputSet, Row};
use crate::error::{ApiError, Reason};
use crate::rows::{self, Rows};
use crate::state::{App, Model, Prompt};
use crate::tokenize::{Encoded, Refused};

/// Parts of the queue that a request takes at once if the queue can't hold all its texts; the rest is for others.
const PARTS: usize = 4;

/// What is sent through the model.
pub(super) enum Work {
    /// Texts behind a prompt, or token ids.
    Input(Input, Prompt),
    /// Pairs of texts, the first of each behind a prompt.
    Pairs(Vec<(String, String)>, Prompt),
    /// A query behind its prompt, and documents behind theirs. The query's row is the first.
    Compared { query: Option<(String, Prompt)>, documents: Vec<String>, prompt: Prompt },
}

impl Work {
    fn len(&self) -> usize {
        match self {
            Self::Input(input, _) => input.len(),
            Self::Pairs(pairs, _) => pairs.len(),
            Self::Compared { query, documents, .. } => usize::from(query.is_some()) + documents.len(),
        }
    }

    /// Texts that the request is counted by.
    fn asked(&self) -> usize {
        match self {
            Self::Compared { documents, .. } => documents.len(),
            _ => self.len(),
        }
    }

    /// Parts of at most this many texts.
    fn split(self, size: usize) -> Vec<Self> {
        match self {
            Self::Input(input, prompt) => {
                input.split(size).into_iter().map(|part| Self::Input(part, prompt.clone())).collect()
            }
            Self::Pairs(pairs, prompt) => {
                let parts = super::input::parts(pairs, size).into_iter();
                parts.map(|part| Self::Pairs(part, prompt.clone())).collect()
            }
            Self::Compared { query, mut documents, prompt } => {
                let beside = size.saturating_sub(usize::from(query.is_some())).min(documents.len());
                let rest = documents.split_off(beside);
                let part = |query, documents| Self::Compared { query, documents, prompt: prompt.clone() };
                let others = super::input::parts(rest, size).into_iter().filter(|documents| !documents.is_empty());
                let others = others.map(|documents| part(None, documents));
                std::iter::once(part(query, documents)).chain(others).collect()
            }
        }
    }

    /// An error has the index of its text; none for a query.
    fn encode(self, model: &Model, truncate: bool) -> Result<Vec<Encoded>, (Option<usize>, Refused)> {
        let tokenizer = &model.tokenizer;
        let placed =
            |(index, result): (usize, Result<Encoded, Refused>)| result.map_err(|refused| (Some(index), refused));
        match self {
            Self::Input(Input::Texts(texts), prompt) => {
                texts.iter().map(|text| model.encode(&prompt, text, truncate)).enumerate().map(placed).collect()
            }
            // The caller has put a prompt's ids before the others, or wants none.
            Self::Input(Input::Ids(lists), prompt) => {
                let own = |one: Encoded| if prompt.query { one.into_query() } else { one };
                lists.into_iter().map(|ids| tokenizer.ids(ids, truncate).map(own)).enumerate().map(placed).collect()
            }
            Self::Pairs(pairs, prompt) => {
                let encode = |(one, two): &(String, String)| model.encode_pair(&prompt, (one, two), truncate);
                pairs.iter().map(encode).enumerate().map(placed).collect()
            }
            Self::Compared { query, documents, prompt } => {
                let query = query.map(|(text, own)| model.encode(&own, &text, truncate));
                let query = query.map(|result| result.map_err(|refused| (None, refused)));
                let encode = |text: &String| model.encode(&prompt, text, truncate);
                query.into_iter().chain(documents.iter().map(encode).enumerate().map(placed)).collect()
            }
        }
    }
}

/// Time of each phase of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) tokenize: Duration,
    pub(super) queue: Duration,
    pub(super) inference: Duration,
}

/// What came out of the model for a request.
pub(super) struct Passed<T> {
    /// In the order of the request's texts.
    pub(super) rows: Vec<T>,
    pub(super) tokens: usize,
    pub(super) times: Times,
}

impl Exchange<'_> {
    /// Sends texts through the model for one output.
    pub(super) async fn pass<T>(
        &mut self,
        work: Work,
        truncate: Option<bool>,
        (output, typed): (Output, fn(Row) -> Option<T>),
    ) -> Result<Passed<T>, ApiError> {
        admit::output(self.model, output)?;
        let Passed { rows, tokens, times } = self.pass_for(work, truncate, OutputSet::of([output])).await?;
        let only = rows.into_iter().map(|mut rows| rows.pop().and_then(typed));
        // A row that is missing here has another kind than the requested one.
        let rows = only.collect::<Option<Vec<T>>>().ok_or_else(|| rows::failed(Reason::InferenceFailed))?;
        Ok(Passed { rows, tokens, times })
    }

    /// Sends texts through the model for outputs that it has: a text's rows come from one pass. The first part must find
    /// room in the queue, so that a busy worker says so at once; the others wait for it.
    pub(super) async fn pass_for(
        &mut self,
        work: Work,
        truncate: Option<bool>,
        outputs: OutputSet,
    ) -> Result<Passed<Vec<Row>>, ApiError> {
        let truncate = truncate.unwrap_or(self.app.limits.auto_truncate);
        let (capacity, param) = (self.app.limits.queue_capacity, self.endpoint.input_name());
        self.size.texts = work.asked();
        admit::count(self.app, self.endpoint, work.asked()).map_err(|error| error.param(param))?;
        let size = if work.len() <= capacity { capacity } else { capacity.div_ceil(PARTS) };
        let mut passed = Passed { rows: Vec::with_capacity(work.len()), tokens: 0, times: Times::default() };
        // Rows before those of the request's texts.
        let before = work.len() - work.asked();
        let mut lengths = Vec::with_capacity(work.len());
        for part in work.split(size) {
            let (first, offset) = (passed.rows.is_empty(), passed.rows.len().saturating_sub(before));
            let room = if first {
                admit::room(self.app, part.len()).map_err(|error| error.param(param))?
            } else {
                self.app.inbox.wait_for_room(part.len()).await
            };
            let began = Instant::now();
            let tokenizing = self.trace.phase("tokenize", began);
            let encoded = tokenize(self.app, self.endpoint, part, (truncate, offset)).await?;
            drop(tokenizing);
            passed.times.tokenize += began.elapsed();
            lengths.extend(encoded.iter().map(|text| text.ids().len()));
            self.size.tokens = lengths.iter().sum();
            let Rows { rows, tokens, queue, inference } =
                rows::pass(self.app, room, (encoded, outputs), (self.deadline, self.trace)).await?;
            passed.rows.extend(rows);
            passed.tokens += tokens;
            passed.times.queue += queue;
            passed.times.inference += inference;
        }
        self.app.quality.answered(&lengths, &passed.rows, self.model.presets.activation, &self.app.metrics);
        let Times { tokenize, queue, inference } = passed.times;
        for (phase, took) in [("tokenize", tokenize), ("queue", queue), ("inference", inference)] {
            self.app.metrics.phase(phase, took, self.trace.sampled());
        }
        Ok(passed)
    }
}

/// Tokenizes on a thread for blocking work; as many requests at once as there are compute threads.
async fn tokenize(
    app: &Arc<App>,
    endpoint: Endpoint,
    work: Work,
    (truncate, offset): (bool, usize),
) -> Result<Vec<Encoded>, ApiError> {
    match blocking(app, move |model| work.encode(model, truncate)).await? {
        Ok(texts) => Ok(texts),
        Err((Some(index), refused)) => Err(refusal(endpoint.input_name(), offset + index, &refused)),
        Err((None, refused)) => Err(refused_as("query", &refused).param("query")),
    }
}

/// Runs what takes a while on a thread for that, with the model.
pub(super) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&Model) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let failed =
        || ApiError::new(Reason::InferenceFailed, "the tokenizer failed on this request; the worker's log says why");
    let _turn = app.tokenizing.take().await.ok_or_else(failed)?;
    let shared = Arc::clone(app);
    match tokio::task::spawn_blocking(move || shared.model().map(work)).await {
        Ok(Some(done)) => Ok(done),
        Ok(None) | Err(_) => Err(failed()),
    }
}

/// Why a text could not be tokenized, as an answer.
pub(super) fn refusal(param: &'static str, index: usize, refused: &Refused) -> ApiError {
    refused_as(&format!("input {index}"), refused).param(param)
}

fn refused_as(text: &str, refused: &Refused) -> ApiError {
    let reason = match refused {
        Refused::TooManyTokens { .. } | Refused::OnlyPrompt => Reason::InputTooLong,
        Refused::UnknownId { .. } | Refused::Empty | Refused::Template(_) | Refused::NoSingle => Reason::InvalidInput,
        Refused::Tokenizer => Reason::InferenceFailed,
    };
    ApiError::new(reason, format!("{text} {refused}"))
}
