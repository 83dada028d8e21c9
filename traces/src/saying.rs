//! Something that is worth a line in the log once a minute.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Least time between two lines.
const QUIET: Duration = Duration::from_secs(60);

/// When it was last said.
#[derive(Debug)]
pub(crate) struct Saying(Mutex<Option<Instant>>);

impl Saying {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether it should be said now; then it counts as said.
    pub(crate) fn is_due(&self) -> bool {
        let mut said = self.0.lock();
        let is_due = said.is_none_or(|at| at.elapsed() >= QUIET);
        if is_due {
            *said = Some(Instant::now());
        }
        is_due
    }

    /// Whether it was said, and is over now.
    pub(crate) fn ends(&self) -> bool {
        self.0.lock().take().is_some()
    }
}
