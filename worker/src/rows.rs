//! A request's side of the queue: it leaves its texts in the inbox, and waits until the lane has answered each.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::error::{ApiError, Reason};
use crate::inbox::{Reserved, Text};
use crate::state::App;
use crate::tokenize::Encoded;

/// The vectors of one request, and where its time went.
#[derive(Debug)]
pub struct Rows {
    pub vectors: Vec<Vec<f32>>,
    pub tokens: usize,
    pub queue: Duration,
    pub inference: Duration,
}

/// Sends a request's texts through the model. When the caller goes away this is dropped, which cancels them.
pub async fn forward(app: &App, room: Reserved<'_>, texts: Vec<Encoded>, deadline: Instant) -> Result<Rows, ApiError> {
    let count = texts.len();
    let tokens = texts.iter().map(|text| text.ids().len()).sum();
    let queued = Instant::now();
    let (reply, mut answers) = mpsc::channel(count.max(1));
    let texts =
        texts.into_iter().enumerate().map(|(index, encoded)| Text { index, encoded, deadline, reply: reply.clone() });
    room.fill(&app.lifecycle, texts.collect(), queued);
    drop(reply);
    let mut rows = Rows { vectors: vec![Vec::new(); count], tokens, queue: Duration::MAX, inference: Duration::ZERO };
    let (mut first, mut last) = (None::<Instant>, queued);
    for _ in 0..count {
        let answer = answers.recv().await.ok_or_else(|| failed(Reason::InferenceFailed))?;
        rows.vectors[answer.index] = answer.vector.map_err(failed)?;
        first = Some(first.map_or(answer.taken, |first| first.min(answer.taken)));
        last = last.max(answer.done);
    }
    let first = first.unwrap_or(queued);
    (rows.queue, rows.inference) = (first - queued, last - first);
    Ok(rows)
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
