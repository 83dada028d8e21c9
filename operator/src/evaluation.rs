//! What a Prometheus says about the rules and the targets of each model: are they loaded, evaluated, and scraped?
//!
//! Only where the installation names a Prometheus. It is asked again and again, for some models at a time. What is good counts at
//! once. What is bad counts when it has been so for a minute: after a change, the Prometheus Operator needs a minute until
//! its Prometheus reads what was written.

mod answer;
mod asking;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use answer::{Rules, Targets};
pub use asking::ask;

use crate::observe::ModelKey;

/// So long it must be bad before it is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// The installation names no Prometheus.
    NotAsked,
    /// No answer that counts yet: what was said before stays.
    Awaited,
    /// Prometheus can't be asked; the words say why.
    Unreadable(String),
    /// What Prometheus said.
    Said(Report),
}

/// What Prometheus said about one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its groups of rules.
    pub rules: Rules,
    /// The workers that it scrapes.
    pub targets: Targets,
}

impl Report {
    fn is_good(&self) -> bool {
        matches!(self.rules, Rules::Evaluated(_)) && matches!(self.targets, Targets::Up(_) | Targets::NoPods)
    }
}

/// What was said about every model.
pub struct Evaluation {
    /// `None` where no Prometheus is named.
    models: Option<Mutex<BTreeMap<ModelKey, Known>>>,
}

/// What counts, and what may count soon.
#[derive(Default)]
struct Known {
    counts: Option<Evaluated>,
    /// What is bad, and since when anything has been.
    bad_since: Option<Instant>,
}

impl Evaluation {
    /// Nothing is known yet; `is_asked` says whether the installation names a Prometheus.
    #[must_use]
    pub fn new(is_asked: bool) -> Self {
        Self { models: is_asked.then(Mutex::default) }
    }

    /// What counts now about a model.
    #[must_use]
    pub fn of(&self, key: &ModelKey) -> Evaluated {
        let Some(models) = &self.models else { return Evaluated::NotAsked };
        models.lock().get(key).and_then(|known| known.counts.clone()).unwrap_or(Evaluated::Awaited)
    }

    /// Forgets a model that is gone.
    pub fn forget(&self, key: &ModelKey) {
        if let Some(models) = &self.models {
            models.lock().remove(key);
        }
    }

    /// Takes an answer in. Returns whether something else counts from now on.
    fn learn(&self, key: &ModelKey, said: Evaluated, now: Instant) -> bool {
        let Some(models) = &self.models else { return false };
        models.lock().entry(key.clone()).or_default().learn(said, now)
    }
}

impl Known {
    fn learn(&mut self, said: Evaluated, now: Instant) -> bool {
        let is_good = matches!(&said, Evaluated::Said(report) if report.is_good());
        let since = *self.bad_since.get_or_insert(now);
        if is_good {
            self.bad_since = None;
        } else if now.duration_since(since) < PATIENCE {
            return false;
        }
        let is_news = self.counts.as_ref() != Some(&said);
        self.counts = Some(said);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rules: Rules, targets: Targets) -> Evaluated {
        Evaluated::Said(Report { rules, targets })
    }

    fn good() -> Evaluated {
        said(Rules::Evaluated(20), Targets::Up(2))
    }

    fn bad() -> Evaluated {
        said(Rules::Missing(vec!["inference.search.minilm.alerts".into()]), Targets::Up(2))
    }

    #[test]
    fn what_is_good_counts_at_once_and_what_is_bad_when_it_lasts() {
        let (evaluation, key, start) = (Evaluation::new(true), ModelKey::default(), Instant::now());
        assert_eq!(evaluation.of(&key), Evaluated::Awaited);
        assert!(evaluation.learn(&key, good(), start));
        assert!(!evaluation.learn(&key, bad(), start + Duration::from_secs(1)));
        assert_eq!(evaluation.of(&key), good(), "a moment is no fault");
        assert!(evaluation.learn(&key, bad(), start + Duration::from_secs(1) + PATIENCE));
        assert_eq!(evaluation.of(&key), bad());
        assert!(evaluation.learn(&key, good(), start + PATIENCE * 2));
        assert!(!evaluation.learn(&key, good(), start + PATIENCE * 2), "the same counts already");
    }

    #[test]
    fn one_fault_after_another_is_one_bad_time() {
        let (evaluation, key, start) = (Evaluation::new(true), ModelKey::default(), Instant::now());
        evaluation.learn(&key, Evaluated::Unreadable("no route".into()), start);
        assert!(evaluation.learn(&key, bad(), start + PATIENCE));
        assert_eq!(evaluation.of(&key), bad());
    }

    #[test]
    fn a_good_time_ends_a_bad_one() {
        let (evaluation, key, start) = (Evaluation::new(true), ModelKey::default(), Instant::now());
        for second in (0..600).step_by(60) {
            evaluation.learn(&key, bad(), start + Duration::from_secs(second));
            evaluation.learn(&key, good(), start + Duration::from_secs(second + 30));
        }
        assert_eq!(evaluation.of(&key), good());
    }

    #[test]
    fn where_no_prometheus_is_named_nothing_is_said() {
        let evaluation = Evaluation::new(false);
        assert!(!evaluation.learn(&ModelKey::default(), good(), Instant::now()));
        assert_eq!(evaluation.of(&ModelKey::default()), Evaluated::NotAsked);
    }
}
