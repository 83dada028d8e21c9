//! The state of the worker, and the answers of its probes.
//!
//! `Loading → Ready → Draining → Refusing`, or `Loading → Failed`. Everything here is atomic: a probe never waits for
//! a model.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest time without a finished pass while texts wait, before the worker counts as stuck. For a slow model the limit
/// is four times its slowest pass so far, if that is longer.
pub const STALL_LIMIT: Duration = Duration::from_secs(30);

/// The state of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The model is being loaded and warmed.
    Loading,
    /// Requests are answered.
    Ready,
    /// SIGTERM arrived; requests are still answered, because endpoints take a while to drop a pod.
    Draining,
    /// New requests are refused; accepted ones are finished.
    Refusing,
    /// The model could not be loaded; the process is about to end.
    Failed,
}

impl State {
    const ALL: [Self; 5] = [Self::Loading, Self::Ready, Self::Draining, Self::Refusing, Self::Failed];

    /// The name in the body of the readiness probe.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Draining | Self::Refusing => "draining",
            Self::Failed => "failed",
        }
    }

    /// The value of the label `state` of the contract.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "loaded",
            Self::Draining | Self::Refusing => "unloading",
            Self::Failed => "failed",
        }
    }

    /// True while a request that arrives now is answered.
    pub const fn answers(self) -> bool {
        matches!(self, Self::Ready | Self::Draining)
    }
}

/// The current state, and the time of the lane's last progress.
#[derive(Debug)]
pub struct Lifecycle {
    state: AtomicU8,
    began: Instant,
    /// Milliseconds from `began` to the last progress.
    progress: AtomicU64,
    slowest_pass: AtomicU64,
    lane_lost: AtomicBool,
}

impl Lifecycle {
    /// The lifecycle of a worker that starts now, in [`State::Loading`].
    pub fn new(now: Instant) -> Self {
        Self {
            state: AtomicU8::new(0),
            began: now,
            progress: AtomicU64::new(0),
            slowest_pass: AtomicU64::new(0),
            lane_lost: AtomicBool::new(false),
        }
    }

    /// The current state.
    pub fn state(&self) -> State {
        State::ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    /// Moves to a later state. An earlier state is ignored, so that a load that ends during a drain changes nothing.
    pub fn advance(&self, state: State) -> bool {
        self.state.fetch_max(state as u8, Ordering::AcqRel) < state as u8
    }

    /// Records that the lane has texts from now on. The idle time before does not count as a standstill.
    pub fn work_arrived(&self, now: Instant) {
        self.progress.store(self.millis(now), Ordering::Release);
    }

    /// Records that a forward pass ended.
    pub fn pass_ended(&self, now: Instant, took: Duration) {
        self.slowest_pass.fetch_max(took.as_millis() as u64, Ordering::AcqRel);
        self.progress.store(self.millis(now), Ordering::Release);
    }

    /// Records that the lane's thread ended, so that no request will be answered any more.
    pub fn lane_lost(&self) {
        self.lane_lost.store(true, Ordering::Release);
    }

    /// Why the process should be restarted, if it should.
    pub fn stuck(&self, busy: bool, now: Instant) -> Option<String> {
        if self.lane_lost.load(Ordering::Acquire) {
            return Some("the compute thread ended".to_owned());
        }
        let still = Duration::from_millis(self.millis(now).saturating_sub(self.progress.load(Ordering::Acquire)));
        let slow = Duration::from_millis(self.slowest_pass.load(Ordering::Acquire).saturating_mul(4));
        let limit = STALL_LIMIT.max(slow);
        (busy && still > limit).then(|| format!("no forward pass ended for {} s while texts wait", still.as_secs()))
    }

    /// Time since the worker started.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    fn millis(&self, now: Instant) -> u64 {
        self.elapsed(now).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn states_only_move_forward() {
        let life = Lifecycle::new(Instant::now());
        assert_eq!(life.state(), State::Loading);
        assert!(life.advance(State::Ready));
        assert!(life.advance(State::Draining));
        assert!(!life.advance(State::Ready), "a load that ends during the drain");
        assert_eq!(life.state(), State::Draining);
    }

    #[test]
    fn only_a_standstill_with_work_is_stuck() {
        let start = Instant::now();
        let life = Lifecycle::new(start);
        let later = start + 100 * SECOND;
        assert_eq!(life.stuck(false, later), None, "idle");
        life.work_arrived(later);
        assert_eq!(life.stuck(true, later + 30 * SECOND), None);
        assert!(life.stuck(true, later + 31 * SECOND).unwrap().contains("31 s"));
        life.pass_ended(later + 31 * SECOND, 31 * SECOND);
        assert_eq!(life.stuck(true, later + 60 * SECOND), None, "it goes on");
    }

    #[test]
    fn a_slow_model_gets_four_times_its_slowest_pass() {
        let start = Instant::now();
        let life = Lifecycle::new(start);
        life.pass_ended(start, 20 * SECOND);
        assert_eq!(life.stuck(true, start + 80 * SECOND), None);
        assert!(life.stuck(true, start + 81 * SECOND).is_some());
    }

    #[test]
    fn a_lost_lane_is_stuck_at_once() {
        let life = Lifecycle::new(Instant::now());
        life.lane_lost();
        assert!(life.stuck(false, Instant::now()).is_some());
    }

    #[test]
    fn labels_are_those_of_the_contract() {
        for state in State::ALL {
            assert!(belfry_crds::contract::metrics::MODEL_STATES.contains(&state.label()));
        }
    }
}
