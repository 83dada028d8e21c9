//! From the queue through the model: requests leave their texts in the [`Inbox`], and the one lane thread, which owns
//! every tensor, takes batches out of it. An idle lane starts at once; batches form while it is busy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use crate::app::App;
use crate::batch::Packed;
use crate::error::{ApiError, Reason};
use crate::queue::{BatchLimits, Full, Queue, Taken, Work};
use crate::tokenize::Encoded;

/// A model that can be run. It lives and dies on the lane's thread.
pub trait Engine {
    /// One vector for each text, in the order of `packed.order`.
    fn forward(&mut self, packed: &Packed) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// A pass that failed. It fails the requests of its batch, and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// One text on its way through the model.
#[derive(Debug)]
pub struct Text {
    index: usize,
    encoded: Encoded,
    deadline: Instant,
    /// Holds as many answers as the request has texts, so that the lane never waits for a request.
    reply: mpsc::Sender<Answer>,
}

impl Work for Text {
    fn tokens(&self) -> usize {
        self.encoded.ids().len()
    }
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn is_cancelled(&self) -> bool {
        self.reply.is_closed()
    }
}

#[derive(Debug)]
struct Answer {
    index: usize,
    vector: Result<Vec<f32>, Reason>,
    taken: Instant,
    done: Instant,
}

/// The vectors of one request, and where its time went.
#[derive(Debug)]
pub struct Rows {
    pub vectors: Vec<Vec<f32>>,
    pub tokens: usize,
    pub queue: Duration,
    pub inference: Duration,
}

/// The queue as threads share it. The lock is held to add or take texts, never during a pass.
#[derive(Debug)]
pub struct Inbox {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Inner {
    queue: Queue<Text>,
    busy: bool,
    closed: bool,
}

impl Inbox {
    pub fn new(capacity: usize) -> Self {
        let inner = Inner { queue: Queue::new(capacity), busy: false, closed: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Texts that wait.
    pub fn depth(&self) -> usize {
        self.lock().queue.depth()
    }

    /// True while the lane computes or should.
    pub fn busy(&self) -> bool {
        let inner = self.lock();
        inner.busy || inner.queue.waiting() > 0
    }

    /// Makes room for a request's texts.
    pub fn reserve(&self, texts: usize) -> Result<Reserved<'_>, Full> {
        self.lock().queue.reserve(texts)?;
        Ok(Reserved { inbox: self, texts })
    }

    /// Lets the lane end once the queue is empty.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Waits for work; `None` when there is none left and the inbox is closed.
    fn next(&self, limits: BatchLimits) -> Option<Taken<Text>> {
        let mut inner = self.lock();
        inner.busy = false;
        while inner.queue.waiting() == 0 {
            if inner.closed {
                return None;
            }
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.busy = true;
        Some(inner.queue.take(limits, Instant::now()))
    }
}

/// Room in the queue; given back when the request ends before its texts are in it.
#[derive(Debug)]
pub struct Reserved<'a> {
    inbox: &'a Inbox,
    texts: usize,
}

impl Reserved<'_> {
    fn fill(mut self, app: &App, texts: Vec<Text>, now: Instant) {
        let mut inner = self.inbox.lock();
        if !inner.busy && inner.queue.waiting() == 0 {
            app.lifecycle.work_arrived(now);
        }
        self.texts = 0;
        inner.queue.push(texts);
        drop(inner);
        self.inbox.arrived.notify_one();
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.texts > 0 {
            self.inbox.lock().queue.release(self.texts);
        }
    }
}

/// Sends a request's texts through the model. When the caller goes away this is dropped, which cancels them.
pub async fn forward(app: &App, room: Reserved<'_>, texts: Vec<Encoded>, deadline: Instant) -> Result<Rows, ApiError> {
    let count = texts.len();
    let tokens = texts.iter().map(|text| text.ids().len()).sum();
    let queued = Instant::now();
    let (reply, mut answers) = mpsc::channel(count.max(1));
    let texts =
        texts.into_iter().enumerate().map(|(index, encoded)| Text { index, encoded, deadline, reply: reply.clone() });
    room.fill(app, texts.collect(), queued);
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

/// Runs the engine until the inbox is closed and empty.
pub fn lane(app: &App, engine: &mut dyn Engine) {
    let limits = BatchLimits { tokens: app.limits.max_batch_tokens, texts: app.limits.max_batch_size };
    while let Some(Taken { batch, expired }) = app.inbox.next(limits) {
        let now = Instant::now();
        for text in expired {
            answer(&text, Err(Reason::DeadlineExceeded), (now, now));
        }
        if !batch.is_empty() {
            pass(app, engine, &batch);
        }
    }
}

fn pass(app: &App, engine: &mut dyn Engine, batch: &[Text]) {
    let taken = Instant::now();
    let ids: Vec<&[u32]> = batch.iter().map(|text| text.encoded.ids()).collect();
    let packed = Packed::new(&ids);
    let rows = guarded(engine, &packed);
    let done = Instant::now();
    app.metrics.batch_size.observe(packed.texts() as f64);
    app.metrics.batch_tokens.observe(packed.tokens() as f64);
    app.metrics.device_busy.inc_by((done - taken).as_secs_f64());
    app.inbox.lock().queue.observe(packed.texts(), done - taken);
    app.lifecycle.pass_ended(done, done - taken);
    match rows {
        Ok(rows) => {
            app.metrics.tokens.with_label_values(&["input"]).inc_by(packed.tokens() as u64);
            app.metrics.progress(SystemTime::now());
            for (row, index) in rows.into_iter().zip(&packed.order) {
                // JSON has no NaN, and a vector with one would poison whatever index it ends in.
                let finite = row.iter().all(|value| value.is_finite());
                answer(&batch[*index], if finite { Ok(row) } else { Err(Reason::InferenceFailed) }, (taken, done));
            }
        }
        Err(error) => {
            tracing::error!(texts = packed.texts(), tokens = packed.tokens(), %error, "Forward pass failed");
            for text in batch {
                answer(text, Err(Reason::InferenceFailed), (taken, done));
            }
        }
    }
}

/// Runs the engine so that neither an error nor a panic goes further than this batch.
fn guarded(engine: &mut dyn Engine, packed: &Packed) -> Result<Vec<Vec<f32>>, EngineError> {
    match catch_unwind(AssertUnwindSafe(|| engine.forward(packed))) {
        Ok(Ok(rows)) if rows.len() == packed.texts() => Ok(rows),
        Ok(Ok(rows)) => Err(EngineError(format!("{} vectors for {} texts", rows.len(), packed.texts()))),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(EngineError("the engine panicked".to_owned())),
    }
}

/// Nobody may be waiting any more, which is fine: the request has ended.
fn answer(text: &Text, vector: Result<Vec<f32>, Reason>, (taken, done): (Instant, Instant)) {
    drop(text.reply.try_send(Answer { index: text.index, vector, taken, done }));
}
