//! Growing pauses for a model whose passes fail, so that it costs the others nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::observe::ModelKey;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Longest pause while the API server is away: what fails for all models is no model's fault, and all of them should
/// be looked at soon after it is back.
const LONGEST_OUTAGE: Duration = Duration::from_secs(8);

/// Longest pause before a refused child is tried again: a quota may have been raised, and no watch shows that.
const LONGEST_REFUSAL: Duration = Duration::from_secs(30);

/// Why a pass failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// The API server can't be reached or asks for patience, with the least pause that it asked for.
    Outage(Duration),
    /// The API server refused a child.
    Refusal,
    /// Anything else.
    Model,
}

/// Failed attempts by model.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: BTreeMap<ModelKey, u32>,
}

impl Backoff {
    /// The pause after one more failure: 1 s, 2 s, 4 s … 300 s, each up to a fifth longer; 30 s at most after a refusal;
    /// while the API server is away 8 s at most, or what it asked for.
    pub(super) fn next(&mut self, model: &ModelKey, setback: Setback) -> Duration {
        let attempt = self.attempts.entry(model.clone()).or_default();
        *attempt = attempt.saturating_add(1);
        let pause = FIRST.saturating_mul(1 << (*attempt - 1).min(16)).min(LONGEST);
        let pause = match setback {
            Setback::Model => pause,
            Setback::Refusal => pause.min(LONGEST_REFUSAL),
            Setback::Outage(least) => pause.min(LONGEST_OUTAGE).max(least).min(LONGEST),
        };
        jittered(pause, model, *attempt)
    }

    /// Failures in a row so far.
    pub(super) fn attempts(&self, model: &ModelKey) -> u32 {
        self.attempts.get(model).copied().unwrap_or(0)
    }

    /// Forgets the failures of a model.
    pub(super) fn clear(&mut self, model: &ModelKey) {
        self.attempts.remove(model);
    }
}

/// A pause made up to a fifth longer, so that models which failed together don't come back together. What is added
/// depends on the model and the attempt alone.
pub(super) fn jittered(pause: Duration, model: &ModelKey, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (model, attempt).hash(&mut hasher);
    let percent = u32::try_from(hasher.finish() % 21).unwrap_or(0);
    pause + pause / 100 * percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_anew_after_a_success() {
        let (mut backoff, model) = (Backoff::default(), ModelKey::default());
        for least in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            let (pause, least) = (backoff.next(&model, Setback::Model), Duration::from_secs(least));
            assert!(pause >= least && pause <= least * 6 / 5, "{pause:?} is not near {least:?}");
        }
        backoff.clear(&model);
        assert!(backoff.next(&model, Setback::Model) <= FIRST * 6 / 5);
    }

    #[test]
    fn an_outage_is_waited_for_in_short_pauses_or_as_long_as_the_api_server_asks() {
        let (mut backoff, model) = (Backoff::default(), ModelKey::default());
        for _ in 0..20 {
            assert!(backoff.next(&model, Setback::Outage(Duration::ZERO)) <= LONGEST_OUTAGE * 6 / 5);
        }
        assert!(backoff.next(&model, Setback::Outage(Duration::from_secs(30))) >= Duration::from_secs(30));
    }

    #[test]
    fn a_refusal_that_ends_soon_is_noticed_soon_and_a_lasting_one_within_half_a_minute() {
        let (mut backoff, model) = (Backoff::default(), ModelKey::default());
        assert!(backoff.next(&model, Setback::Refusal) <= FIRST * 6 / 5);
        let later: Vec<_> = (0..20).map(|_| backoff.next(&model, Setback::Refusal)).collect();
        assert!(later.iter().all(|pause| *pause <= LONGEST_REFUSAL * 6 / 5), "{later:?}");
    }

    #[test]
    fn models_that_fail_together_do_not_come_back_together() {
        let pause = |name: &str| {
            Backoff::default().next(&ModelKey { namespace: "ns".into(), name: name.into() }, Setback::Model)
        };
        let pauses: std::collections::BTreeSet<_> = (0..50).map(|n| pause(&n.to_string())).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}
