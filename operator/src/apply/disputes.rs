//! Children that another manager changes again and again.
//!
//! Each change is set back, at first at once. A manager that never gives up would otherwise cost the API server two writes for
//! each round, for ever, and no person would hear of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use belfry_render::role::Role;
use parking_lot::Mutex;

use crate::observe::ModelKey;

/// Set-backs of one child that follow each other at once.
const BURST: u32 = 10;

/// After them one each so often.
const PAUSE: Duration = Duration::from_secs(15);

/// So many set-backs of one child within [`MEMORY`] are a dispute.
const MANY: usize = 10;

const MEMORY: Duration = Duration::from_secs(3600);

/// A dispute is over when the child was left alone for so long.
const PEACE: Duration = Duration::from_secs(600);

/// Every child that was set back lately.
#[derive(Debug)]
pub struct Disputes {
    models: Mutex<BTreeMap<ModelKey, BTreeMap<Role, History>>>,
    /// What happened before is not known.
    since: Instant,
}

/// A child that is in dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// What the child is for.
    pub role: Role,
    /// Name of the child.
    pub name: String,
    /// The field manager that changed it last; `None` when it was deleted, or when the API server does not say.
    pub rival: Option<String>,
    /// Time until the dispute is over if the child is left alone from now on.
    pub ends_in: Duration,
}

/// The set-backs of one child.
#[derive(Debug)]
struct History {
    name: String,
    set_back: VecDeque<Instant>,
    /// Set-backs that may follow at once.
    left: u32,
    /// When `left` was last raised.
    raised: Instant,
    rival: Option<String>,
}

impl History {
    fn raise(&mut self, now: Instant) {
        while self.left < BURST && now.duration_since(self.raised) >= PAUSE {
            self.left += 1;
            self.raised += PAUSE;
        }
        if self.left == BURST {
            self.raised = now;
        }
        while self.set_back.front().is_some_and(|at| now.duration_since(*at) > MEMORY) {
            self.set_back.pop_front();
        }
    }

    /// Time until the dispute ends; `None` when there is none.
    fn ends_in(&self, now: Instant) -> Option<Duration> {
        let quiet = now.duration_since(*self.set_back.back()?);
        (self.set_back.len() >= MANY).then(|| PEACE.checked_sub(quiet)).flatten()
    }
}

impl Disputes {
    /// Nothing was set back before `now`.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { models: Mutex::new(BTreeMap::new()), since: now }
    }

    /// How long the child has to wait to be set back; `None` when its turn is now.
    #[must_use]
    pub fn wait(&self, key: &ModelKey, role: Role, now: Instant) -> Option<Duration> {
        let mut models = self.models.lock();
        let history = models.get_mut(key)?.get_mut(&role)?;
        history.raise(now);
        (history.left == 0).then(|| PAUSE.saturating_sub(now.duration_since(history.raised)))
    }

    /// Whether one more set-back makes a dispute, or goes on with one, so that it is worth a request to ask who the rival is.
    #[must_use]
    pub fn is_near(&self, key: &ModelKey, role: Role) -> bool {
        let models = self.models.lock();
        models.get(key).and_then(|roles| roles.get(&role)).is_some_and(|history| history.set_back.len() + 1 >= MANY)
    }

    /// Notes that a child was set back.
    pub fn set_back(&self, key: &ModelKey, (role, name): (Role, &str), rival: Option<String>, now: Instant) {
        let mut models = self.models.lock();
        let history = models.entry(key.clone()).or_default().entry(role).or_insert_with(|| History {
            name: name.into(),
            set_back: VecDeque::new(),
            left: BURST,
            raised: now,
            rival: None,
        });
        history.raise(now);
        history.left = history.left.saturating_sub(1);
        history.rival = rival;
        history.set_back.push_back(now);
        // More than enough to see that there are many.
        while history.set_back.len() > 2 * MANY {
            history.set_back.pop_front();
        }
    }

    /// The disputes of a model. Forgets what is long ago.
    pub fn of(&self, key: &ModelKey, now: Instant) -> Vec<Dispute> {
        let mut models = self.models.lock();
        let Some(roles) = models.get_mut(key) else { return vec![] };
        roles.values_mut().for_each(|history| history.raise(now));
        roles.retain(|_, history| !history.set_back.is_empty());
        let dispute = |(role, history): (&Role, &History)| {
            let (name, rival) = (history.name.clone(), history.rival.clone());
            Some(Dispute { role: *role, name, rival, ends_in: history.ends_in(now)? })
        };
        let disputes = roles.iter().filter_map(dispute).collect();
        if roles.is_empty() {
            models.remove(key);
        }
        disputes
    }

    /// Time for which a dispute that an earlier operator saw may still go on, if nothing is set back from now on; `None` when
    /// its children were left alone for long enough. A new operator does not see at once what took the earlier one ten rounds.
    pub fn inherited(&self, key: &ModelKey, now: Instant) -> Option<Duration> {
        let models = self.models.lock();
        let histories = models.get(key).into_iter().flat_map(BTreeMap::values);
        let last = histories.filter_map(|history| history.set_back.back()).max().copied();
        PEACE.checked_sub(now.duration_since(last.unwrap_or(self.since))).filter(|left| !left.is_zero())
    }

    /// Forgets a model that is gone.
    pub fn forget(&self, key: &ModelKey) {
        self.models.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_start() -> (Disputes, Instant) {
        let start = Instant::now();
        (Disputes::new(start), start)
    }

    /// Another manager that changes the Service each so often, for so long. Gives the times of the set-backs, in seconds.
    fn fight(disputes: &Disputes, every: u64, seconds: u64, start: Instant) -> Vec<u64> {
        let (key, role) = (ModelKey::default(), Role::Address);
        let mut written = vec![];
        for second in (0..seconds).step_by(usize::try_from(every).unwrap()) {
            let now = start + Duration::from_secs(second);
            if disputes.wait(&key, role, now).is_none() {
                disputes.set_back(&key, (role, "m"), Some("rival".into()), now);
                written.push(second);
            }
        }
        written
    }

    #[test]
    fn a_fight_is_slowed_down_after_ten_rounds_and_has_a_name() {
        let (disputes, start) = at_start();
        let written = fight(&disputes, 1, 100, start);
        assert_eq!(written[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15]);
        assert!(written.len() <= 10 + 7, "{written:?}");
        let found = disputes.of(&ModelKey::default(), start + Duration::from_secs(100));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].rival.as_deref()), ("m", Some("rival")));
    }

    #[test]
    fn a_fight_of_one_round_in_three_minutes_is_never_held_up_and_has_a_name_within_half_an_hour() {
        let (disputes, start) = at_start();
        assert_eq!(fight(&disputes, 180, 1800, start).len(), 10);
        assert_eq!(disputes.of(&ModelKey::default(), start + Duration::from_secs(1800)).len(), 1);
    }

    #[test]
    fn a_person_who_edits_a_few_times_is_no_rival() {
        let (disputes, start) = at_start();
        assert_eq!(fight(&disputes, 1, 9, start).len(), 9);
        assert!(disputes.of(&ModelKey::default(), start + Duration::from_secs(9)).is_empty());
    }

    #[test]
    fn a_dispute_ends_ten_minutes_after_its_last_round_and_is_forgotten_after_an_hour() {
        let (disputes, start) = at_start();
        fight(&disputes, 1, 20, start);
        let (key, last) = (ModelKey::default(), start + Duration::from_secs(15));
        assert_eq!(disputes.of(&key, last)[0].ends_in, PEACE);
        assert!(disputes.of(&key, last + PEACE + Duration::from_secs(1)).is_empty());
        assert!(disputes.wait(&key, Role::Address, last + PEACE).is_none(), "what was spent has come back");
        assert!(disputes.of(&key, last + MEMORY + Duration::from_secs(1)).is_empty());
        assert!(disputes.models.lock().is_empty());
    }

    #[test]
    fn a_dispute_of_an_earlier_operator_goes_on_until_its_children_were_left_alone() {
        let (disputes, start) = at_start();
        let key = ModelKey::default();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(disputes.inherited(&key, after(0)), Some(PEACE));
        assert_eq!(disputes.inherited(&key, after(600)), None);
        // One round in three minutes has no name before the tenth, and goes on all the same.
        fight(&disputes, 180, 900, start);
        assert!(disputes.of(&key, after(900)).is_empty());
        assert_eq!(disputes.inherited(&key, after(900)), Some(PEACE - Duration::from_secs(180)));
        assert_eq!(disputes.inherited(&key, after(720 + 600)), None);
    }
}
