//! Growing pauses for a model whose passes fail, so that it costs the others nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Failed attempts by model.
#[derive(Default)]
pub struct Backoff {
    attempts: Mutex<BTreeMap<(String, String), u32>>,
}

impl Backoff {
    /// The pause after one more failure: 1 s, 2 s, 4 s … 300 s.
    pub(super) fn next(&self, model: &(String, String)) -> Duration {
        let mut attempts = self.attempts.lock();
        let attempt = attempts.entry(model.clone()).or_default();
        *attempt = attempt.saturating_add(1);
        FIRST.saturating_mul(1 << (*attempt - 1).min(16)).min(LONGEST)
    }

    /// Forgets the failures of a model.
    pub(super) fn clear(&self, model: &(String, String)) {
        self.attempts.lock().remove(model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_anew_after_a_success() {
        let (backoff, model) = (Backoff::default(), ("ns".to_owned(), "m".to_owned()));
        let pauses: Vec<_> = (0..12).map(|_| backoff.next(&model).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        backoff.clear(&model);
        assert_eq!(backoff.next(&model), FIRST);
    }
}
