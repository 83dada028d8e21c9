//! Signals that end the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::children;

/// The number of the signal that came, or 0.
#[derive(Clone, Default)]
pub(crate) struct Signalled(Arc<AtomicUsize>);

impl Signalled {
    /// Waits for a signal on a thread of its own. The program has so long to end by itself after one.
    pub(crate) fn watch(grace: Duration) -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("signals can't be received")?;
        let signalled = Self::default();
        let first = signalled.clone();
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                first.0.store(signal.unsigned_abs() as usize, Ordering::Relaxed);
                thread::sleep(grace);
                end(signal);
            }
        });
        Ok(signalled)
    }

    /// Which came, if one did.
    pub(crate) fn signal(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}

/// Reading from a terminal that is gone comes back no more, so that no loop ends.
#[allow(clippy::disallowed_methods, reason = "nothing is left to restore or to write to")]
fn end(signal: i32) {
    children::end_all();
    std::process::exit(128 + signal);
}
