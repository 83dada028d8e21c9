//! Which models wait for a pass, and since when. Pure data, with the time passed in.
//!
//! A model waits at most once and is never worked on twice at the same time. A trigger that comes
//! while its pass runs leads to one more pass afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::observe::ModelKey;

/// Models that wait and models that are worked on.
#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeSet<(Instant, ModelKey)>,
    models: BTreeMap<ModelKey, State>,
}

#[derive(Debug)]
enum State {
    Waiting {
        due: Instant,
    },
    /// The time is that of the first trigger since the pass began.
    Running {
        again: Option<Instant>,
    },
}

impl Queue {
    /// Asks for a pass at that time, or earlier if one is already asked for.
    pub fn add(&mut self, key: ModelKey, due: Instant) {
        match self.models.get_mut(&key) {
            Some(State::Running { again }) => *again = Some(again.map_or(due, |earlier| earlier.min(due))),
            Some(State::Waiting { due: present }) if *present <= due => {}
            Some(State::Waiting { due: present }) => {
                self.due.remove(&(*present, key.clone()));
                *present = due;
                self.due.insert((due, key));
            }
            None => {
                self.due.insert((due, key.clone()));
                self.models.insert(key, State::Waiting { due });
            }
        }
    }

    /// Takes the model that has been due for longest, if one is.
    pub fn take(&mut self, now: Instant) -> Option<ModelKey> {
        let (due, key) = self.due.first()?.clone();
        if due > now {
            return None;
        }
        self.due.remove(&(due, key.clone()));
        self.models.insert(key.clone(), State::Running { again: None });
        Some(key)
    }

    /// A pass ended. The model waits again if something changed meanwhile, or for its next pass.
    pub fn done(&mut self, key: ModelKey, next: Option<Instant>) {
        let again = match self.models.remove(&key) {
            Some(State::Running { again }) => again,
            Some(State::Waiting { due }) => Some(due),
            None => None,
        };
        if let Some(due) = [again, next].into_iter().flatten().min() {
            self.add(key, due);
        }
    }

    /// When the next model is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Models that are due, and for how long the first of them has been.
    #[must_use]
    pub fn backlog(&self, now: Instant) -> (usize, Duration) {
        let age = self.next_due().map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        (self.due.iter().take_while(|(due, _)| *due <= now).count(), age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ModelKey {
        ModelKey { namespace: "ns".into(), name: name.into() }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn many_triggers_of_a_model_lead_to_one_pass_at_the_earliest_time() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        for seconds in [9, 3, 5] {
            queue.add(key("a"), after(start, seconds));
        }
        assert_eq!(queue.next_due(), Some(after(start, 3)));
        assert_eq!(queue.take(after(start, 2)), None);
        assert_eq!(queue.take(after(start, 3)), Some(key("a")));
        assert_eq!(queue.take(after(start, 99)), None);
    }

    #[test]
    fn a_trigger_during_a_pass_leads_to_one_more_pass_and_never_to_two_at_once() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("a"), start);
        queue.take(start).unwrap();
        queue.add(key("a"), start);
        assert_eq!(queue.take(start), None, "it is being worked on");
        queue.done(key("a"), Some(after(start, 600)));
        assert_eq!(queue.take(start), Some(key("a")));
        queue.done(key("a"), Some(after(start, 600)));
        assert_eq!(queue.next_due(), Some(after(start, 600)));
    }

    #[test]
    fn the_model_that_waits_for_longest_comes_first() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("late"), after(start, 2));
        queue.add(key("early"), after(start, 1));
        assert_eq!(queue.backlog(after(start, 5)), (2, Duration::from_secs(4)));
        assert_eq!(queue.take(after(start, 5)), Some(key("early")));
    }

    #[test]
    fn a_model_that_is_gone_leaves_nothing_behind() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("a"), start);
        queue.take(start).unwrap();
        queue.done(key("a"), None);
        assert!(queue.models.is_empty() && queue.due.is_empty());
    }
}
