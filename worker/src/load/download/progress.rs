//! The progress of a download: always in the metrics, and from time to time in the log.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::super::trouble::Trouble;
use crate::metrics::Metrics;

/// Time between two lines of the log.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Bytes of a download.
pub(super) struct Progress<'a> {
    metrics: &'a Metrics,
    /// Bytes of the files that are complete.
    finished: Cell<u64>,
    logged: Cell<Instant>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(metrics: &'a Metrics) -> Self {
        Self { metrics, finished: Cell::new(0), logged: Cell::new(Instant::now()) }
    }

    /// Sets the number of bytes of all files.
    pub(super) fn expect(&self, bytes: u64) {
        self.metrics.download_size.set(signed(bytes));
    }

    /// Sets the number of bytes of the current file that are in the cache.
    pub(super) fn have(&self, file: &str, bytes: u64) {
        let done = signed(self.finished.get() + bytes);
        self.metrics.download_done.set(done);
        if self.logged.get().elapsed() >= LOG_EVERY {
            self.logged.set(Instant::now());
            tracing::info!(file, done, of = self.metrics.download_size.get(), "Downloading");
        }
    }

    /// Records that the current file is complete.
    pub(super) fn finished(&self, file: &str, bytes: u64) {
        self.have(file, bytes);
        self.finished.set(self.finished.get() + bytes);
    }

    /// Counts a retry of a request.
    pub(super) fn retried(&self, trouble: &Trouble) {
        let reason = match trouble {
            Trouble::Stalled => "stalled",
            Trouble::Status { .. } => "status",
            Trouble::Corrupt(_) => "corrupt",
            Trouble::Connection(_) | Trouble::Timeout | Trouble::Disk(_) => "connection",
        };
        self.metrics.download_retries.with_label_values(&[reason]).inc();
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
