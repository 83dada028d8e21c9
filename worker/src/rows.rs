//! A request's side of the queue: it puts its texts into the inbox, and waits until the lane has answered each of them.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::engine::{OutputSet, Row};
use crate::error::{ApiError, Reason};
use crate::inbox::{Reserved, Text};
use crate::state::App;
use crate::tokenize::Encoded;
use crate::trace::Trace;

/// The model's rows for one request, and the time of each phase.
#[derive(Debug)]
pub struct Rows {
    /// In the order of the request's texts; of each text one for each wanted output, in the order of
    /// [`crate::engine::Output::ALL`].
    pub rows: Vec<Vec<Row>>,
    /// Tokens of all texts.
    pub tokens: usize,
    /// From the queue's end to the first pass that took a text.
    pub queue: Duration,
    /// From the start of the first pass to the end of the last.
    pub inference: Duration,
}

/// Sends texts through the model for these outputs, all of them from one pass. If the caller disconnects, this future is
/// dropped, which cancels the texts.
pub(crate) async fn pass(
    app: &App,
    room: Reserved<'_>,
    (texts, outputs): (Vec<Encoded>, OutputSet),
    (deadline, trace): (Instant, &Trace),
) -> Result<Rows, ApiError> {
    let count = texts.len();
    let tokens = texts.iter().map(|text| text.ids().len()).sum();
    let queued = Instant::now();
    let (reply, mut answers) = mpsc::channel(count.max(1));
    let waiting = trace.phase("queue", queued);
    let traced = trace.traced();
    let texts = texts.into_iter().enumerate().map(|(index, encoded)| Text {
        index,
        encoded,
        outputs,
        deadline,
        is_probe: false,
        traced: traced.clone(),
        reply: reply.clone(),
    });
    room.fill(&app.lifecycle, texts.collect(), queued);
    drop(reply);
    let mut rows: Vec<Vec<Row>> = vec![Vec::new(); count];
    let (mut first, mut last) = (None::<Instant>, queued);
    let mut passes = vec![];
    for _ in 0..count {
        let answer = answers.recv().await.ok_or_else(|| failed(Reason::InferenceFailed))?;
        rows[answer.index] = answer.rows.map_err(failed)?;
        first = Some(first.map_or(answer.taken, |first| first.min(answer.taken)));
        last = last.max(answer.done);
        passes.extend(answer.pass);
    }
    let first = first.unwrap_or(queued);
    waiting.end(first);
    let mut inference = trace.phase("inference", first);
    inference.link(passes);
    inference.end(last);
    Ok(Rows { rows, tokens, queue: first - queued, inference: last - first })
}

/// The answer to a request whose texts got no rows.
pub(crate) fn failed(reason: Reason) -> ApiError {
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
