//! Whether a candidate may take the lease. Pure, with the time passed in.
//!
//! Clocks of machines differ, so the time in the lease is compared only with itself: a lease has
//! ended when this candidate saw it unchanged for its whole duration, by its own clock.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// What a candidate saw so far.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    seen: Option<(LeaseSpec, Instant)>,
}

/// What a candidate does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// One operator leads.
    Wait,
    /// No operator leads.
    Take {
        /// Number of changes of the leader, this one included.
        transitions: i32,
    },
}

impl Election {
    pub(super) fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), seen: None }
    }

    /// Looks at the lease as it is now; `None` when there is none.
    pub(super) fn decide(&mut self, lease: Option<&LeaseSpec>, now: Instant) -> Decision {
        let Some(lease) = lease else { return Decision::Take { transitions: 0 } };
        let transitions = lease.lease_transitions.unwrap_or(0);
        match lease.holder_identity.as_deref().filter(|holder| !holder.is_empty()) {
            None => return Decision::Take { transitions: transitions + 1 },
            // A container that was restarted has the name of the one before.
            Some(holder) if holder == self.identity => return Decision::Take { transitions },
            Some(_) => {}
        }
        let since = match &self.seen {
            Some((seen, since)) if seen == lease => *since,
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        let duration = u64::try_from(lease.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        if now.saturating_duration_since(since) > Duration::from_secs(duration) {
            return Decision::Take { transitions: transitions + 1 };
        }
        Decision::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use k8s_openapi::jiff::Timestamp;

    fn lease(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            lease_transitions: Some(3),
            ..Default::default()
        }
    }

    #[test]
    fn a_lease_without_a_holder_is_taken_at_once() {
        let mut election = Election::new("me");
        assert_eq!(election.decide(None, Instant::now()), Decision::Take { transitions: 0 });
        assert_eq!(election.decide(Some(&lease("", 0)), Instant::now()), Decision::Take { transitions: 4 });
        assert_eq!(election.decide(Some(&lease("me", 0)), Instant::now()), Decision::Take { transitions: 3 });
    }

    #[test]
    fn a_lease_that_is_renewed_is_never_taken_however_wrong_the_clocks_are() {
        let (mut election, start) = (Election::new("me"), Instant::now());
        for second in (0..300).step_by(5) {
            let now = start + Duration::from_secs(second);
            let by_a_clock_of_1970 = i64::try_from(second).unwrap();
            assert_eq!(election.decide(Some(&lease("other", by_a_clock_of_1970)), now), Decision::Wait);
        }
    }

    #[test]
    fn a_lease_that_stands_still_is_taken_after_its_duration() {
        let (mut election, start) = (Election::new("me"), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(election.decide(Some(&lease("other", 7)), at(0)), Decision::Wait);
        assert_eq!(election.decide(Some(&lease("other", 7)), at(15)), Decision::Wait);
        assert_eq!(election.decide(Some(&lease("other", 7)), at(16)), Decision::Take { transitions: 4 });
    }
}
