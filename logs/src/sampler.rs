//! Which of many events are logged.

use std::sync::atomic::{AtomicU64, Ordering};

/// Picks a share of events, evenly: of a share of 0.1 every tenth.
#[derive(Debug, Default)]
pub struct Sampler {
    share: f64,
    seen: AtomicU64,
}

impl Sampler {
    /// Picks this share: from 0 for none to 1 for all.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self { share: share.clamp(0.0, 1.0), seen: AtomicU64::new(0) }
    }

    /// Whether the next event is picked.
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 events")]
    pub fn picks(&self) -> bool {
        let before = self.seen.fetch_add(1, Ordering::Relaxed) as f64;
        ((before + 1.0) * self.share).floor() > (before * self.share).floor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_picked_evenly() {
        for (share, of_a_thousand) in
            [(0.0, 0), (0.001, 1), (0.1, 100), (0.25, 250), (1.0, 1000), (7.0, 1000), (-1.0, 0)]
        {
            let sampler = Sampler::new(share);
            let picked: Vec<_> = (0..1000).filter(|_| sampler.picks()).collect();
            assert_eq!(picked.len(), of_a_thousand, "{share}");
        }
        let sampler = Sampler::new(0.25);
        let picked: Vec<_> = (1..=8).filter(|_| sampler.picks()).collect();
        assert_eq!(picked, [4, 8]);
    }
}
