//! Which models wait for a pass, and since when. Pure data, with the time passed in.
//!
//! A model waits at most once and is never worked on twice at the same time. A trigger that comes
//! while its pass runs leads to one more pass afterwards. Children come before statuses: while a
//! thousand models are applied from git, the status of one that is starting can wait a little.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::observe::{Cause, ModelKey, Urgency};

/// How much longer than all children a status waits at most, while the children of others are written.
const PATIENCE: Duration = Duration::from_secs(10);

/// Models that wait and models that are worked on.
#[derive(Debug, Default)]
pub struct Queue {
    children: BTreeSet<(Instant, ModelKey)>,
    statuses: BTreeSet<(Instant, ModelKey)>,
    models: BTreeMap<ModelKey, State>,
}

#[derive(Debug)]
enum State {
    Waiting(Wait),
    /// What was asked for since the pass began.
    Running(Option<Wait>),
}

/// A pass that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When it is its turn.
    pub due: Instant,
    /// What the pass may have to do.
    pub urgency: Urgency,
    /// Why it was asked for: of several causes the one with the greatest urgency, and of those the first.
    pub cause: Cause,
}

impl Wait {
    /// One pass for both.
    fn and(self, other: Self) -> Self {
        let cause = if other.urgency < self.urgency { other.cause } else { self.cause };
        Self { due: self.due.min(other.due), urgency: self.urgency.min(other.urgency), cause }
    }
}

impl Queue {
    /// Asks for a pass at that time, or earlier if one is already asked for.
    pub fn add(&mut self, key: ModelKey, wait: Wait) {
        match self.models.get_mut(&key) {
            Some(State::Running(again)) => *again = Some(again.map_or(wait, |earlier| earlier.and(wait))),
            Some(State::Waiting(present)) => {
                let (before, after) = (*present, present.and(wait));
                *present = after;
                self.waiting(before.urgency).remove(&(before.due, key.clone()));
                self.waiting(after.urgency).insert((after.due, key));
            }
            None => {
                self.waiting(wait.urgency).insert((wait.due, key.clone()));
                self.models.insert(key, State::Waiting(wait));
            }
        }
    }

    /// Takes the model that has been due for longest, if one is: of those whose children may be written, unless one
    /// whose status has to be has waited `PATIENCE` longer.
    pub fn take(&mut self, now: Instant) -> Option<(ModelKey, Cause)> {
        let first = |models: &BTreeSet<(Instant, ModelKey)>| Some(models.first()?.0).filter(|due| *due <= now);
        let urgency = match (first(&self.children), first(&self.statuses)) {
            (None, None) => return None,
            (Some(child), Some(status)) if status + PATIENCE < child => Urgency::Status,
            (Some(_), _) => Urgency::Children,
            (None, Some(_)) => Urgency::Status,
        };
        let (_, key) = self.waiting(urgency).pop_first()?;
        let cause = match self.models.insert(key.clone(), State::Running(None)) {
            Some(State::Waiting(wait)) => wait.cause,
            // What waits in a set waits in the map too.
            Some(State::Running(_)) | None => Cause::Resync,
        };
        Some((key, cause))
    }

    /// A pass ended. The model waits again if something changed meanwhile, or for its next pass.
    pub fn done(&mut self, key: ModelKey, next: Option<Wait>) {
        if let Some(State::Running(Some(again))) = self.models.remove(&key) {
            self.add(key.clone(), again);
        }
        if let Some(next) = next {
            self.add(key, next);
        }
    }

    /// When the next model is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        [&self.children, &self.statuses].into_iter().filter_map(|models| Some(models.first()?.0)).min()
    }

    /// Models that are due, and for how long the first of them has been.
    #[must_use]
    pub fn backlog(&self, now: Instant) -> (usize, Duration) {
        let age = self.next_due().map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        let due = |models: &BTreeSet<(Instant, ModelKey)>| models.iter().take_while(|(due, _)| *due <= now).count();
        (due(&self.children) + due(&self.statuses), age)
    }

    fn waiting(&mut self, urgency: Urgency) -> &mut BTreeSet<(Instant, ModelKey)> {
        match urgency {
            Urgency::Children => &mut self.children,
            Urgency::Status => &mut self.statuses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ModelKey {
        ModelKey { namespace: "ns".into(), name: name.into() }
    }

    fn wait(due: Instant, urgency: Urgency) -> Wait {
        Wait { due, urgency, cause: Cause::Start }
    }

    fn taken(queue: &mut Queue, now: Instant) -> Option<ModelKey> {
        queue.take(now).map(|(key, _)| key)
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn many_triggers_of_a_model_lead_to_one_pass_at_the_earliest_time() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        for seconds in [9, 3, 5] {
            queue.add(key("a"), wait(after(start, seconds), Urgency::Status));
        }
        assert_eq!(queue.next_due(), Some(after(start, 3)));
        assert_eq!(taken(&mut queue, after(start, 2)), None);
        assert_eq!(taken(&mut queue, after(start, 3)), Some(key("a")));
        assert_eq!(taken(&mut queue, after(start, 99)), None);
    }

    #[test]
    fn a_trigger_during_a_pass_leads_to_one_more_pass_and_never_to_two_at_once() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("a"), wait(start, Urgency::Children));
        queue.take(start).unwrap();
        queue.add(key("a"), wait(start, Urgency::Children));
        assert_eq!(taken(&mut queue, start), None, "it is being worked on");
        queue.done(key("a"), Some(wait(after(start, 600), Urgency::Status)));
        assert_eq!(taken(&mut queue, start), Some(key("a")));
        queue.done(key("a"), Some(wait(after(start, 600), Urgency::Status)));
        assert_eq!(queue.next_due(), Some(after(start, 600)));
    }

    #[test]
    fn the_model_that_waits_for_longest_comes_first() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("late"), wait(after(start, 2), Urgency::Children));
        queue.add(key("early"), wait(after(start, 1), Urgency::Children));
        assert_eq!(queue.backlog(after(start, 5)), (2, Duration::from_secs(4)));
        assert_eq!(taken(&mut queue, after(start, 5)), Some(key("early")));
    }

    #[test]
    fn children_come_before_statuses_until_a_status_has_waited_for_long() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("status"), wait(start, Urgency::Status));
        for (name, seconds) in [("new", 1), ("edited", 10), ("later", 11)] {
            queue.add(key(name), wait(after(start, seconds), Urgency::Children));
        }
        let now = after(start, 60);
        let order: Vec<_> = std::iter::from_fn(|| queue.take(now)).map(|(key, _)| key.name.to_string()).collect();
        assert_eq!(order, ["new", "edited", "status", "later"]);
    }

    #[test]
    fn a_model_that_waits_for_its_status_comes_earlier_when_its_children_change() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("a"), wait(after(start, 600), Urgency::Status));
        queue.add(key("b"), wait(start, Urgency::Children));
        queue.add(key("a"), wait(after(start, 1), Urgency::Children));
        queue.add(key("a"), wait(after(start, 2), Urgency::Status));
        assert_eq!(queue.backlog(after(start, 3)), (2, Duration::from_secs(3)));
        assert_eq!(taken(&mut queue, after(start, 3)), Some(key("b")));
        assert_eq!(taken(&mut queue, after(start, 3)), Some(key("a")));
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn a_model_that_is_gone_leaves_nothing_behind() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("a"), wait(start, Urgency::Children));
        queue.take(start).unwrap();
        queue.done(key("a"), None);
        assert!(queue.models.is_empty() && queue.next_due().is_none());
    }

    #[test]
    fn a_pass_knows_the_most_urgent_of_its_causes() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        for (urgency, cause) in [
            (Urgency::Status, Cause::PodChanged),
            (Urgency::Children, Cause::ModelChanged),
            (Urgency::Children, Cause::Resync),
        ] {
            queue.add(key("a"), Wait { due: start, urgency, cause });
        }
        assert_eq!(queue.take(start), Some((key("a"), Cause::ModelChanged)));
        queue.add(key("a"), Wait { due: start, urgency: Urgency::Status, cause: Cause::PodChanged });
        queue.done(key("a"), Some(Wait { due: after(start, 9), urgency: Urgency::Status, cause: Cause::Resync }));
        assert_eq!(queue.take(start), Some((key("a"), Cause::PodChanged)));
    }
}
