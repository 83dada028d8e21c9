//! A request's side of the queue: it puts its texts into the inbox, and waits until the lane has answered each of them.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::engine::{Output, Row};
use crate::error::{ApiError, Reason};
use crate::inbox::{Reserved, Text};
use crate::state::App;
use crate::tokenize::Encoded;

/// The model's rows for one request, one per text, and the time of each phase.
#[derive(Debug)]
pub struct Rows<T> {
    /// In the order of the request's texts.
    pub rows: Vec<T>,
    /// Tokens of all texts.
    pub tokens: usize,
    /// From the queue's end to the first pass that took a text.
    pub queue: Duration,
    /// From the start of the first pass to the end of the last.
    pub inference: Duration,
}

/// Texts, the output that they are sent for, and the function that unpacks a row.
pub type Wanted<T> = (Vec<Encoded>, Output, fn(Row) -> Option<T>);

/// Sends texts through the model. If the caller disconnects, this future is dropped, which cancels the texts.
pub async fn pass<T>(
    app: &App,
    room: Reserved<'_>,
    (texts, output, typed): Wanted<T>,
    deadline: Instant,
) -> Result<Rows<T>, ApiError> {
    let count = texts.len();
    let tokens = texts.iter().map(|text| text.ids().len()).sum();
    let queued = Instant::now();
    let (reply, mut answers) = mpsc::channel(count.max(1));
    let texts = texts.into_iter().enumerate().map(|(index, encoded)| Text {
        index,
        encoded,
        output,
        deadline,
        reply: reply.clone(),
    });
    room.fill(&app.lifecycle, texts.collect(), queued);
    drop(reply);
    let mut rows: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let (mut first, mut last) = (None::<Instant>, queued);
    for _ in 0..count {
        let answer = answers.recv().await.ok_or_else(|| failed(Reason::InferenceFailed))?;
        rows[answer.index] = typed(answer.row.map_err(failed)?);
        first = Some(first.map_or(answer.taken, |first| first.min(answer.taken)));
        last = last.max(answer.done);
    }
    // A row that is missing here has another kind than the requested one.
    let rows = rows.into_iter().collect::<Option<Vec<T>>>().ok_or_else(|| failed(Reason::InferenceFailed))?;
    let first = first.unwrap_or(queued);
    Ok(Rows { rows, tokens, queue: first - queued, inference: last - first })
}

fn failed(reason: Reason) -> ApiError {
    ApiError::new(
        reason,
        match reason {
            Reason::DeadlineExceeded => {
                "the request waited longer than its time limit; send fewer texts, or retry later"
            }
            _ => "the model failed on this request; the worker's log says why",
        },
    )
}
