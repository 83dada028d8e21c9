//! The queue that threads share: requests put their texts in, and the lane takes batches out.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::engine::{OutputSet, Row};
use crate::error::Reason;
use crate::lifecycle::Lifecycle;
use crate::queue::{BatchLimits, Full, Queue, Taken, Work};
use crate::tokenize::Encoded;
use crate::trace::Traced;

/// One text on its way through the model.
#[derive(Debug)]
pub(crate) struct Text {
    /// Its place among the texts of its request.
    pub(crate) index: usize,
    pub(crate) encoded: Encoded,
    /// The outputs that its request wants.
    pub(crate) outputs: OutputSet,
    /// Time at which its request is answered with 504.
    pub(crate) deadline: Instant,
    /// It is the worker's own question, and counts in no metric of traffic.
    pub(crate) is_probe: bool,
    /// The span of its request, where that is sent.
    pub(crate) traced: Option<Traced>,
    /// Has room for as many answers as the request has texts, so that the lane never waits for a request.
    pub(crate) reply: mpsc::Sender<Answer>,
}

impl Text {
    /// Sends the answer, unless the request has ended.
    pub(crate) fn answer(&self, rows: Result<Vec<Row>, Reason>, when: (Instant, Instant), pass: Option<&Traced>) {
        let (taken, done) = when;
        // A pass has a span where any of its requests is traced; only those ask for it.
        let pass = pass.filter(|_| self.traced.is_some()).cloned();
        drop(self.reply.try_send(Answer { index: self.index, rows, taken, done, pass }));
    }
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

/// The answer for one text.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The text's place among those of its request.
    pub(crate) index: usize,
    /// One for each wanted output, in the order of [`crate::engine::Output::ALL`].
    pub(crate) rows: Result<Vec<Row>, Reason>,
    /// When the lane took the text.
    pub(crate) taken: Instant,
    /// When its pass ended.
    pub(crate) done: Instant,
    /// The span of its pass, where there is one.
    pub(crate) pass: Option<Traced>,
}

/// The shared queue. The lock is held to add or take texts, never during a pass.
#[derive(Debug)]
pub struct Inbox {
    inner: Mutex<Inner>,
    arrived: Condvar,
    /// Woken when texts leave.
    freed: Notify,
}

#[derive(Debug)]
struct Inner {
    queue: Queue<Text>,
    busy: bool,
    closed: bool,
}

impl Inbox {
    /// An empty inbox with room for this many texts.
    pub fn new(capacity: usize) -> Self {
        let inner = Inner { queue: Queue::new(capacity), busy: false, closed: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new(), freed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Texts that wait.
    pub fn depth(&self) -> usize {
        self.lock().queue.depth()
    }

    /// How long the text has waited that has waited longest; zero when none waits.
    pub fn oldest_wait(&self, now: Instant) -> Duration {
        self.lock().queue.oldest().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// True while the lane computes, or has texts to compute.
    pub fn busy(&self) -> bool {
        let inner = self.lock();
        inner.busy || inner.queue.waiting() > 0
    }

    /// Reserves room for a request's texts.
    pub fn reserve(&self, texts: usize) -> Result<Reserved<'_>, Full> {
        self.lock().queue.reserve(texts)?;
        Ok(Reserved { inbox: self, texts })
    }

    /// Waits until there is room for texts, at most as many as the queue holds. Its caller has a deadline.
    pub async fn wait_for_room(&self, texts: usize) -> Reserved<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on a batch that leaves is not missed.
            freed.as_mut().enable();
            match self.reserve(texts) {
                Ok(reserved) => return reserved,
                Err(_) => freed.await,
            }
        }
    }

    /// Lets the lane end once the queue is empty.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Waits for a batch; `None` if the inbox is closed and empty.
    pub(crate) fn next(&self, limits: BatchLimits) -> Option<Taken<Text>> {
        let mut inner = self.lock();
        inner.busy = false;
        while inner.queue.waiting() == 0 {
            if inner.closed {
                return None;
            }
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.busy = true;
        let taken = inner.queue.take(limits, Instant::now());
        self.freed.notify_waiters();
        Some(taken)
    }

    /// Updates the estimated time per text from a pass.
    pub(crate) fn observe(&self, texts: usize, took: Duration) {
        self.lock().queue.observe(texts, took);
    }
}

/// Reserved room in the queue; released if the request ends before it fills the room.
#[derive(Debug)]
pub struct Reserved<'a> {
    inbox: &'a Inbox,
    texts: usize,
}

impl Reserved<'_> {
    /// Puts the texts into the reserved room, and wakes the lane.
    pub(crate) fn fill(mut self, lifecycle: &Lifecycle, texts: Vec<Text>, now: Instant) {
        let mut inner = self.inbox.lock();
        if !inner.busy && inner.queue.waiting() == 0 {
            lifecycle.work_arrived(now);
        }
        self.texts = 0;
        inner.queue.push(texts, now);
        drop(inner);
        self.inbox.arrived.notify_one();
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.texts > 0 {
            self.inbox.lock().queue.release(self.texts);
            self.inbox.freed.notify_waiters();
        }
    }
}
