//! An exemplar for each bucket of [`contract::REQUEST_DURATION`]: the last traced request that was counted there.

use std::sync::{Mutex, TryLockError};
use std::time::SystemTime;

use belfry_crds::contract::DURATION_BUCKETS;
use belfry_crds::contract::metrics as contract;
use belfry_traces::{SpanId, TraceId};

/// A request whose trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// The id of the trace.
    pub trace_id: TraceId,
    /// The id of the request's own span; `None` where only its caller traces.
    pub span_id: Option<SpanId>,
}

/// One request that was counted in a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) of: Sampled,
    /// Seconds.
    pub(super) value: f64,
    pub(super) at: SystemTime,
}

/// The bounds, and what is above them.
const BUCKETS: usize = DURATION_BUCKETS.len() + 1;

/// The exemplars of one series, a bucket each.
pub(super) type OfSeries = [Option<Exemplar>; BUCKETS];

/// The last exemplar of each bucket and phase. Their number is fixed, and no request waits for one.
#[derive(Debug, Default)]
pub(super) struct Exemplars([[Mutex<Option<Exemplar>>; BUCKETS]; contract::PHASES.len()]);

impl Exemplars {
    /// Keeps a request for the bucket that counts it. One that meets a scrape, or another request, at the same bucket is not kept.
    pub(super) fn keep(&self, phase: &str, of: Sampled, value: f64) {
        let Some(series) = contract::PHASES.iter().position(|known| *known == phase) else { return };
        let bucket = DURATION_BUCKETS.partition_point(|bound| *bound < value);
        let Some(slot) = self.0.get(series).and_then(|buckets| buckets.get(bucket)) else { return };
        let mut kept = match slot.try_lock() {
            Ok(kept) => kept,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        *kept = Some(Exemplar { of, value, at: SystemTime::now() });
    }

    /// Those of a phase.
    pub(super) fn of_phase(&self, phase: &str) -> Option<OfSeries> {
        let series = contract::PHASES.iter().position(|known| *known == phase)?;
        let read = |slot: &Mutex<Option<Exemplar>>| *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.0.get(series).map(|buckets| std::array::from_fn(|bucket| buckets.get(bucket).and_then(read)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: u128) -> Sampled {
        Sampled { trace_id: TraceId::from(id), span_id: Some(SpanId::from(7)) }
    }

    #[test]
    fn each_bucket_keeps_the_last_request_that_it_counts() {
        let exemplars = Exemplars::default();
        // A bound belongs to the bucket below it.
        for (id, value) in [(1, 0.002), (2, 0.005), (3, 0.0051), (4, 31.0)] {
            exemplars.keep("total", request(id), value);
        }
        let kept = exemplars.of_phase("total").unwrap();
        let ids: Vec<_> = kept.iter().map(|kept| kept.map(|kept| kept.of)).collect();
        assert_eq!(ids[..3], [None, Some(request(2)), Some(request(3))]);
        assert_eq!(ids[BUCKETS - 1], Some(request(4)), "above every bound");
        assert_eq!(exemplars.of_phase("queue").unwrap(), [None; BUCKETS]);
        assert_eq!(exemplars.of_phase("no such phase"), None);
    }

    #[test]
    fn a_request_does_not_wait_for_who_reads_its_bucket() {
        let exemplars = Exemplars::default();
        let reading = exemplars.0[0][0].lock().unwrap();
        exemplars.keep("total", request(1), 0.0);
        drop(reading);
        assert_eq!(exemplars.of_phase("total").unwrap()[0], None);
    }
}
