//! When to retry, and how long to wait before a retry.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use super::super::trouble::Trouble;
use super::progress::Progress;
use super::{Policy, retryable};

/// Tries in a row without data that end a download.
const TRIES: u32 = 4;

/// Longest pause between two tries, even if the server asks for a longer one.
const LONGEST: Duration = Duration::from_secs(60);

/// Counts the tries without data. A try with data resets the count: a large file over a bad line may arrive in any
/// number of pieces, and only the time-out bounds them.
pub(super) struct Tries<'a> {
    policy: Policy,
    progress: &'a Progress<'a>,
    fruitless: u32,
}

impl<'a> Tries<'a> {
    pub(super) fn new(policy: Policy, progress: &'a Progress<'a>) -> Self {
        Self { policy, progress, fruitless: 0 }
    }

    /// Waits before the next try, or returns the trouble if there is none.
    pub(super) fn again(&mut self, file: &str, trouble: Trouble, moved: bool) -> Result<(), Trouble> {
        if !retryable(&trouble) {
            return Err(trouble);
        }
        self.fruitless = if moved { 1 } else { self.fruitless + 1 };
        if self.fruitless >= TRIES {
            return Err(trouble);
        }
        let pause = self.pause(&trouble);
        if Instant::now() + pause >= self.policy.deadline {
            return Err(Trouble::Timeout);
        }
        tracing::warn!(file, ?trouble, tries = self.fruitless, "Download broke off");
        self.progress.retried(&trouble);
        thread::sleep(pause);
        Ok(())
    }

    /// The pause before the next try. It doubles with each try, and differs between workers, so that a fleet does not
    /// retry at the same time.
    fn pause(&self, trouble: &Trouble) -> Duration {
        let longest = self.policy.pause * 2_u32.pow(self.fruitless - 1);
        let share = RandomState::new().build_hasher().finish() % 512;
        let own = longest / 2 + longest * share as u32 / 1024;
        let asked = match trouble {
            Trouble::Status { retry_after: Some(asked), .. } => *asked,
            _ => Duration::ZERO,
        };
        own.max(asked).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    const PAUSE: Duration = Duration::from_millis(1);

    fn policy(left: Duration) -> Policy {
        Policy { deadline: Instant::now() + left, stall: PAUSE, pause: PAUSE }
    }

    #[test]
    fn four_tries_without_data_end_a_download_and_one_with_data_resets_the_count() {
        let metrics = Metrics::new().unwrap();
        let progress = Progress::new(&metrics);
        let mut tries = Tries::new(policy(Duration::from_secs(60)), &progress);
        for moved in [false, false, false, true, false, false] {
            assert_eq!(tries.again("f", Trouble::Stalled, moved), Ok(()));
        }
        assert_eq!(tries.again("f", Trouble::Stalled, false), Err(Trouble::Stalled));
        assert_eq!(metrics.download_retries.with_label_values(&["stalled"]).get(), 6);
    }

    #[test]
    fn a_trouble_that_no_retry_can_cure_is_returned_at_once() {
        let metrics = Metrics::new().unwrap();
        let progress = Progress::new(&metrics);
        for trouble in [
            Trouble::Status { code: 403, body: String::new(), retry_after: None },
            Trouble::Timeout,
            Trouble::Disk("full".into()),
        ] {
            let mut tries = Tries::new(policy(Duration::from_secs(60)), &progress);
            assert_eq!(tries.again("f", trouble.clone(), false), Err(trouble));
        }
    }

    #[test]
    fn a_pause_beyond_the_deadline_ends_the_download() {
        let metrics = Metrics::new().unwrap();
        let progress = Progress::new(&metrics);
        let busy = Trouble::Status { code: 503, body: String::new(), retry_after: Some(Duration::from_secs(3600)) };
        let mut tries = Tries::new(policy(Duration::from_secs(10)), &progress);
        assert_eq!(tries.again("f", busy.clone(), false), Err(Trouble::Timeout));
        assert_eq!(tries.pause(&busy), LONGEST);
    }
}
