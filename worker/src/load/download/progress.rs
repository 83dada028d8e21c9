//! How far a download is: in the metrics at every moment, and in the log now and then.

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

    /// All files have so many bytes.
    pub(super) fn expect(&self, bytes: u64) {
        self.metrics.download_size.set(signed(bytes));
    }

    /// The present file has so many bytes in the cache.
    pub(super) fn have(&self, file: &str, bytes: u64) {
        let done = signed(self.finished.get() + bytes);
        self.metrics.download_done.set(done);
        if self.logged.get().elapsed() >= LOG_EVERY {
            self.logged.set(Instant::now());
            tracing::info!(file, done, of = self.metrics.download_size.get(), "Downloading");
        }
    }

    /// The present file is complete.
    pub(super) fn finished(&self, file: &str, bytes: u64) {
        self.have(file, bytes);
        self.finished.set(self.finished.get() + bytes);
    }

    /// A request is made again.
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
