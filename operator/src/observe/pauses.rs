//! Pauses before a watch that broke off is started again.

use std::time::Duration;

use kube::runtime::utils::{Backoff, ResetTimerBackoff};

const FIRST: Duration = Duration::from_millis(500);

/// Short, so that an outage of the API server costs seconds after its end and not another half minute.
const LONGEST: Duration = Duration::from_secs(5);

/// A watch that ran for so long starts with the first pause again.
const CALM: Duration = Duration::from_secs(60);

/// 0.5 s, 1 s, 2 s, 4 s, 5 s.
pub(super) fn pauses() -> impl Backoff {
    ResetTimerBackoff::new(Pauses(FIRST), CALM)
}

struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST;
    }
}
