//! Texts that wait for a forward pass: a bounded queue that is pure data, with the time passed in.
//!
//! Every request has its own line, and a batch takes one text from each line in turn, oldest request first, until a
//! limit is reached. So a short question does not wait behind a thousand passages. The head of the oldest line is
//! always taken first and every line becomes the oldest, so no text waits forever.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The properties of a text that the queue uses.
pub trait Work {
    /// Tokens in the forward pass.
    fn tokens(&self) -> usize;
    /// Time at which its request is answered with 504.
    fn deadline(&self) -> Instant;
    /// True once no request waits for the answer any more.
    fn is_cancelled(&self) -> bool;
}

/// Bounds of one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Most tokens; a single text that has more goes alone.
    pub tokens: usize,
    /// Most texts.
    pub texts: usize,
}

/// The queue cannot take a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Whole seconds after which there should be room.
    pub retry_after: u64,
}

/// Longest wait that callers are asked for, even with a slow model.
const RETRY_AFTER_MAX: f64 = 30.0;

/// Weight of the newest pass in the estimate of a text's time: about the last ten passes count.
const SMOOTHING: f64 = 0.2;

/// Requests in order of arrival, each with its texts in order.
#[derive(Debug)]
pub struct Queue<W> {
    capacity: usize,
    lines: VecDeque<Line<W>>,
    /// Texts whose request was admitted and is still being tokenized.
    reserved: usize,
    waiting: usize,
    seconds_per_text: f64,
}

/// The texts of one request that still wait.
#[derive(Debug)]
struct Line<W> {
    /// When they came.
    since: Instant,
    texts: VecDeque<W>,
}

impl<W: Work> Queue<W> {
    /// An empty queue that never holds more than `capacity` texts.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, lines: VecDeque::new(), reserved: 0, waiting: 0, seconds_per_text: 0.0 }
    }

    /// Texts that wait or are about to; never more than the capacity.
    pub fn depth(&self) -> usize {
        self.reserved + self.waiting
    }

    /// Texts that a forward pass could take now.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// When the text came that has waited longest.
    pub fn oldest(&self) -> Option<Instant> {
        self.lines.front().map(|line| line.since)
    }

    /// Reserves room for a request's texts before they are tokenized, so that tokenizing is bounded as well.
    pub fn reserve(&mut self, texts: usize) -> Result<(), Full> {
        if self.depth() + texts > self.capacity {
            return Err(Full { retry_after: self.retry_after() });
        }
        self.reserved += texts;
        Ok(())
    }

    /// Releases room that [`Self::reserve`] made.
    pub fn release(&mut self, texts: usize) {
        self.reserved = self.reserved.saturating_sub(texts);
    }

    /// Adds a request whose room is reserved.
    pub fn push(&mut self, texts: Vec<W>, now: Instant) {
        self.release(texts.len());
        self.waiting += texts.len();
        if !texts.is_empty() {
            self.lines.push_back(Line { since: now, texts: texts.into() });
        }
    }

    /// Takes the texts of the next forward pass, and the texts whose deadline has passed. Texts whose request has ended
    /// are dropped.
    pub fn take(&mut self, limits: BatchLimits, now: Instant) -> Taken<W> {
        let expired = self.drop_stale(now);
        let mut batch = Vec::new();
        let mut tokens = 0;
        loop {
            let before = batch.len();
            for line in &mut self.lines {
                let Some(next) = line.texts.front() else { continue };
                // A text that is longer than the budget goes alone; one that does not fit now waits for the next pass.
                let fits = batch.is_empty() || (batch.len() < limits.texts && tokens + next.tokens() <= limits.tokens);
                if fits && let Some(next) = line.texts.pop_front() {
                    tokens += next.tokens();
                    batch.push(next);
                }
            }
            if batch.len() == before {
                break;
            }
        }
        self.lines.retain(|line| !line.texts.is_empty());
        self.waiting = self.lines.iter().map(|line| line.texts.len()).sum();
        Taken { batch, expired }
    }

    fn drop_stale(&mut self, now: Instant) -> Vec<W> {
        let mut expired = Vec::new();
        for line in &mut self.lines {
            for text in std::mem::take(&mut line.texts) {
                if text.is_cancelled() {
                    continue;
                }
                if text.deadline() <= now {
                    expired.push(text);
                } else {
                    line.texts.push_back(text);
                }
            }
        }
        expired
    }

    /// Updates the estimated time per text from a pass.
    pub fn observe(&mut self, texts: usize, took: Duration) {
        let sample = took.as_secs_f64() / texts.max(1) as f64;
        let first = self.seconds_per_text == 0.0;
        self.seconds_per_text =
            if first { sample } else { (1.0 - SMOOTHING) * self.seconds_per_text + SMOOTHING * sample };
    }

    /// Whole seconds until the waiting texts are done.
    fn retry_after(&self) -> u64 {
        (self.depth() as f64 * self.seconds_per_text).ceil().clamp(1.0, RETRY_AFTER_MAX) as u64
    }
}

/// The result of [`Queue::take`].
#[derive(Debug)]
pub struct Taken<W> {
    /// The next forward pass, in no particular order; empty if all waiting texts were stale.
    pub batch: Vec<W>,
    /// Texts whose deadline has passed, to be answered with 504.
    pub expired: Vec<W>,
}

#[cfg(test)]
mod tests;
