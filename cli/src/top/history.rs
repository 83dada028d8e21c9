//! What a worker did in the last minute, from its snapshots. Pure: time is the worker's own `elapsed_seconds`.

use std::collections::VecDeque;

use belfry_crds::contract::metrics;
use belfry_crds::contract::status::{Distribution, Snapshot};

/// Seconds that are kept.
pub(super) const KEPT: usize = 60;

/// Seconds that a value of "now" is taken over. Snapshots come five times a second: over less, a rate would flicker.
const NOW: f64 = 2.0;

/// The least distance of two points, in seconds; a little less than a second, so that one in five snapshots is kept.
const STEP: f64 = 0.9;

/// What counts up in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Inference requests that were answered, or whose caller left.
    Requests,
    /// Those that were not answered with 200.
    Errors,
    /// Tokens that went through the model.
    Tokens,
    /// Seconds in which the device computed.
    Busy,
    /// CPU seconds.
    Cpu,
}

/// A histogram of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// The time of a phase, by its place in [`metrics::PHASES`].
    Phase(usize),
    /// Texts in a batch.
    Batch,
}

/// A worker at one moment: what is needed of its snapshot.
#[derive(Clone, Debug)]
struct Point {
    at: f64,
    counts: [f64; 5],
    phases: Vec<Option<Distribution>>,
    batch: Option<Distribution>,
    queue: f64,
}

impl Point {
    fn of(snapshot: &Snapshot) -> Self {
        let failed =
            snapshot.sum(&metrics::REQUESTS, |labels| labels.get("reason").is_some_and(|reason| reason != "ok"));
        let phase = |name: &&str| snapshot.distribution(&metrics::REQUEST_DURATION, Some(("phase", *name))).cloned();
        Self {
            at: snapshot.elapsed_seconds,
            counts: [
                snapshot.sum(&metrics::REQUESTS, |_| true),
                failed,
                snapshot.sum(&metrics::TOKENS, |_| true),
                snapshot.sum(&metrics::DEVICE_BUSY, |_| true),
                snapshot.process.cpu_seconds,
            ],
            phases: metrics::PHASES.iter().map(phase).collect(),
            batch: snapshot.distribution(&metrics::BATCH_SIZE, None).cloned(),
            queue: snapshot.models.iter().map(|model| model.queue_depth as f64).sum(),
        }
    }

    fn spread(&self, spread: Spread) -> Option<&Distribution> {
        match spread {
            Spread::Phase(index) => self.phases.get(index)?.as_ref(),
            Spread::Batch => self.batch.as_ref(),
        }
    }

    /// Growth per second since an earlier point.
    fn rate(&self, before: &Self, count: Count) -> f64 {
        let index = count as usize;
        (self.counts[index] - before.counts[index]).max(0.0) / (self.at - before.at)
    }

    fn quantile(&self, before: &Self, spread: Spread, share: f64) -> Option<f64> {
        quantile(before.spread(spread), self.spread(spread)?, share)
    }

    fn mean(&self, before: &Self, spread: Spread) -> Option<f64> {
        let (after, before) = (self.spread(spread)?, before.spread(spread));
        let count = after.count.saturating_sub(before.map_or(0, |before| before.count));
        (count > 0).then(|| (after.sum - before.map_or(0.0, |before| before.sum)) / count as f64)
    }
}

/// The last minute of a worker.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Points about a second apart, the newest last.
    kept: VecDeque<Point>,
    latest: Option<Point>,
}

impl History {
    /// Takes a snapshot. One of a process that started anew forgets what was before.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        let point = Point::of(snapshot);
        if let Some(latest) = &self.latest {
            if point.at == latest.at {
                return;
            }
            if point.at < latest.at {
                self.kept.clear();
            }
        }
        if self.kept.back().is_none_or(|last| point.at >= last.at + STEP) {
            self.kept.push_back(point.clone());
        }
        while self.kept.front().is_some_and(|first| first.at < point.at - KEPT as f64 - 1.0) {
            self.kept.pop_front();
        }
        self.latest = Some(point);
    }

    /// The latest point, and the newest one that is at least so many seconds older; else the oldest.
    fn window(&self, seconds: f64) -> Option<(&Point, &Point)> {
        let latest = self.latest.as_ref()?;
        let older = |point: &&Point| point.at <= latest.at - seconds;
        let before = self.kept.iter().rev().find(older).or_else(|| self.kept.front())?;
        // Over less than half a second a rate says nothing.
        (latest.at - before.at > 0.5).then_some((latest, before))
    }

    /// Growth per second at this moment; `None` before there are two snapshots.
    pub(super) fn rate(&self, count: Count) -> Option<f64> {
        let (latest, before) = self.window(NOW)?;
        Some(latest.rate(before, count))
    }

    /// Growth over the last minute, or since the first snapshot.
    pub(super) fn growth(&self, count: Count) -> Option<f64> {
        let (latest, before) = self.window(KEPT as f64)?;
        Some((latest.counts[count as usize] - before.counts[count as usize]).max(0.0))
    }

    /// A quantile over the last minute; infinite beyond the last bound, `None` without a sample.
    pub(super) fn quantile(&self, spread: Spread, share: f64) -> Option<f64> {
        let (latest, before) = self.window(KEPT as f64)?;
        latest.quantile(before, spread, share)
    }

    /// The mean over the last minute; `None` without a sample.
    pub(super) fn mean(&self, spread: Spread) -> Option<f64> {
        let (latest, before) = self.window(KEPT as f64)?;
        latest.mean(before, spread)
    }

    /// The rate in each of the last [`KEPT`] seconds, the newest last; `None` for one that was not seen.
    pub(super) fn rates(&self, count: Count) -> Vec<Option<f64>> {
        self.series(|point, before| Some(point.rate(before, count)))
    }

    /// A quantile in each second.
    pub(super) fn quantiles(&self, spread: Spread, share: f64) -> Vec<Option<f64>> {
        self.series(|point, before| point.quantile(before, spread, share))
    }

    /// A mean in each second.
    pub(super) fn means(&self, spread: Spread) -> Vec<Option<f64>> {
        self.series(|point, before| point.mean(before, spread))
    }

    /// Texts that wait, in each second.
    pub(super) fn queue(&self) -> Vec<Option<f64>> {
        self.series(|point, _| Some(point.queue))
    }

    fn series(&self, value: impl Fn(&Point, &Point) -> Option<f64>) -> Vec<Option<f64>> {
        let mut seconds = vec![None; KEPT];
        let Some(last) = self.kept.back() else { return seconds };
        for (before, point) in self.kept.iter().zip(self.kept.iter().skip(1)) {
            // Seconds without a connection stay empty, and so does the long step after them.
            let age = (last.at - point.at).round() as usize;
            if point.at - before.at < 2.0 && age < KEPT {
                seconds[KEPT - 1 - age] = value(point, before);
            }
        }
        seconds
    }
}

/// A quantile of what came between two states of a histogram, as Prometheus estimates it: evenly spread within a bucket.
/// Infinite beyond the last bound; `None` if nothing came, or if the buckets are others.
fn quantile(before: Option<&Distribution>, after: &Distribution, share: f64) -> Option<f64> {
    if after.cumulative.len() != after.bounds.len() || before.is_some_and(|before| before.bounds != after.bounds) {
        return None;
    }
    let since = |now: u64, then: Option<u64>| now.saturating_sub(then.unwrap_or(0)) as f64;
    let total = since(after.count, before.map(|before| before.count));
    if total <= 0.0 {
        return None;
    }
    let rank = share * total;
    let (mut low, mut below) = (0.0, 0.0);
    for (index, bound) in after.bounds.iter().enumerate() {
        let up_to = since(after.cumulative[index], before.and_then(|before| before.cumulative.get(index).copied()));
        if up_to >= rank {
            let inside = up_to - below;
            return Some(if inside > 0.0 { low + (bound - low) * (rank - below) / inside } else { *bound });
        }
        (low, below) = (*bound, up_to);
    }
    Some(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    fn near(value: Option<f64>, wanted: f64) {
        assert!(value.is_some_and(|value| (value - wanted).abs() < 1e-6), "{value:?}, and not {wanted}");
    }

    /// A worker that answers `rate` requests a second from second 0 on.
    fn steady(rate: f64, until: u32) -> History {
        let mut history = History::default();
        for tick in 0..=until * 5 {
            let seconds = f64::from(tick) / 5.0;
            history.take(&at(seconds, (rate * seconds).floor()));
        }
        history
    }

    #[test]
    fn a_steady_rate_is_steady_now_and_in_every_second() {
        let history = steady(10.0, 30);
        near(history.rate(Count::Requests), 10.0);
        near(history.growth(Count::Requests), 300.0);
        let rates = history.rates(Count::Requests);
        assert_eq!((rates.len(), rates.iter().flatten().count()), (KEPT, 30));
        assert!(
            rates[..30].iter().all(Option::is_none) && rates.iter().flatten().all(|rate| (rate - 10.0).abs() < 1e-6)
        );
    }

    #[test]
    fn one_snapshot_says_no_rate_and_a_minute_is_all_that_is_kept() {
        let mut history = History::default();
        assert_eq!((history.rate(Count::Requests), history.rates(Count::Tokens).len()), (None, KEPT));
        history.take(&at(5.0, 7.0));
        assert_eq!(history.rate(Count::Requests), None);
        let long = steady(1.0, 300);
        assert!(long.kept.len() <= KEPT + 2, "{}", long.kept.len());
        assert_eq!(long.rates(Count::Requests).iter().flatten().count(), KEPT);
        near(long.growth(Count::Requests).map(f64::round), 60.0);
    }

    #[test]
    fn a_new_process_begins_anew_and_a_gap_stays_empty() {
        let mut history = steady(10.0, 20);
        history.take(&at(0.2, 0.0));
        assert_eq!((history.rate(Count::Requests), history.kept.len()), (None, 1));
        let mut history = steady(10.0, 20);
        for second in 30..40 {
            history.take(&at(f64::from(second), 400.0));
        }
        let rates = history.rates(Count::Requests);
        assert!(rates[KEPT - 19..KEPT - 9].iter().all(Option::is_none), "{rates:?}");
        assert_eq!(rates[KEPT - 5], Some(0.0));
    }

    #[test]
    fn a_quantile_is_that_of_prometheus() {
        let of = |cumulative: &[u64], count| Distribution {
            labels: [].into(),
            bounds: vec![1.0, 2.0, 4.0],
            cumulative: cumulative.to_vec(),
            count,
            sum: 0.0,
        };
        near(quantile(None, &of(&[0, 10, 10], 10), 0.5), 1.5);
        near(quantile(None, &of(&[10, 10, 10], 10), 0.95), 0.95);
        near(quantile(Some(&of(&[10, 10, 10], 10)), &of(&[10, 10, 20], 20), 0.5), 3.0);
        assert_eq!(quantile(None, &of(&[0, 0, 0], 5), 0.5), Some(f64::INFINITY));
        assert_eq!(quantile(None, &of(&[0, 0, 0], 0), 0.5), None);
        assert_eq!(quantile(Some(&of(&[3, 3, 3], 3)), &of(&[3, 3, 3], 3), 0.5), None);
        let other = Distribution { bounds: vec![9.0], ..of(&[1], 1) };
        assert_eq!(quantile(Some(&other), &of(&[0, 10, 10], 10), 0.5), None);
    }
}
