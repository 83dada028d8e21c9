//! What a worker says about its work, read from its metrics.

use std::time::{Duration, Instant};

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::ScalingMetricType;

/// A rate over a shorter time says more about chance than about load.
const WINDOW: Duration = Duration::from_secs(5);

/// One reading of a worker's metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When it was made.
    pub at: Instant,
    /// Texts that wait.
    pub queue_depth: f64,
    /// Requests that are not answered yet.
    pub in_flight: f64,
    /// Seconds that answered texts have waited, since the worker began.
    pub waited_seconds: f64,
    /// Requests with a time in the queue, since the worker began.
    pub waited_count: f64,
}

impl Reading {
    /// Reads the text exposition of a worker; `None` when one of the series is missing.
    #[must_use]
    pub fn parse(exposition: &str, at: Instant) -> Option<Self> {
        let duration = &metrics::REQUEST_DURATION;
        let phase = "phase=\"queue\"";
        Some(Self {
            at,
            queue_depth: series(exposition, metrics::QUEUE_DEPTH.name, "")?,
            in_flight: series(exposition, metrics::ACTIVE_REQUESTS.name, "")?,
            waited_seconds: series(exposition, &duration.sum(), phase)?,
            waited_count: series(exposition, &duration.count(), phase)?,
        })
    }
}

/// The value of the first series of that name whose labels hold the text.
fn series(exposition: &str, name: &str, label: &str) -> Option<f64> {
    exposition.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let value: f64 = labels.contains(label).then(|| value.split_whitespace().next())??.parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    })
}

/// The last reading of a worker, and one from before, for what has to be measured over time.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    last: Reading,
    before: Option<Reading>,
}

impl Worker {
    /// A worker that was read for the first time, or once more.
    #[must_use]
    pub fn read(known: Option<Self>, last: Reading) -> Self {
        let before = known.and_then(|known| {
            let is_old = last.at.duration_since(known.last.at) >= WINDOW;
            if is_old { Some(known.last) } else { known.before }
        });
        Self { last, before }
    }

    /// Whether the last reading is of that time or later.
    #[must_use]
    pub fn is_read_since(&self, time: Instant) -> bool {
        self.last.at >= time
    }

    /// The value of a metric; `None` when it can't be told yet.
    #[must_use]
    pub fn value(&self, type_: ScalingMetricType) -> Option<f64> {
        match type_ {
            ScalingMetricType::QueueDepth => Some(self.last.queue_depth),
            ScalingMetricType::InFlightRequests => Some(self.last.in_flight),
            ScalingMetricType::QueueDelayMilliseconds => self.queue_delay(),
        }
    }

    /// The mean over the requests that were answered between the two readings. Where none was, an empty queue means no
    /// delay, and a queue that does not move means that nobody knows.
    fn queue_delay(&self) -> Option<f64> {
        let before = self.before.filter(|before| before.waited_count <= self.last.waited_count)?;
        let answered = self.last.waited_count - before.waited_count;
        if answered > 0.0 {
            return Some(1000.0 * (self.last.waited_seconds - before.waited_seconds).max(0.0) / answered);
        }
        (self.last.queue_depth == 0.0).then_some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPOSITION: &str = "\
# HELP inference_queue_depth Texts that wait for a forward pass.
# TYPE inference_queue_depth gauge
inference_queue_depth 12
inference_queue_depth_of_another 99
inference_active_requests 3
inference_request_duration_seconds_bucket{phase=\"queue\",le=\"0.001\"} 1
inference_request_duration_seconds_sum{phase=\"total\"} 9
inference_request_duration_seconds_count{phase=\"total\"} 9
inference_request_duration_seconds_sum{phase=\"queue\"} 1.5
inference_request_duration_seconds_count{phase=\"queue\"} 10
";

    fn reading(at: Instant, depth: f64, seconds: f64, count: f64) -> Reading {
        Reading { at, queue_depth: depth, in_flight: 0.0, waited_seconds: seconds, waited_count: count }
    }

    #[test]
    fn a_workers_exposition_is_read() {
        let at = Instant::now();
        let expected = Reading { at, queue_depth: 12.0, in_flight: 3.0, waited_seconds: 1.5, waited_count: 10.0 };
        assert_eq!(Reading::parse(EXPOSITION, at), Some(expected));
    }

    #[test]
    fn an_exposition_that_lacks_a_series_or_holds_nonsense_is_no_reading() {
        let at = Instant::now();
        for line in EXPOSITION.lines().filter(|l| l.starts_with("inference_queue_depth ") || l.starts_with("inference_active")) {
            assert_eq!(Reading::parse(&EXPOSITION.replace(line, ""), at), None, "{line}");
            let name = line.split(' ').next().unwrap();
            for nonsense in ["NaN", "-1", "+Inf", "x"] {
                assert_eq!(Reading::parse(&EXPOSITION.replace(line, &format!("{name} {nonsense}")), at), None);
            }
        }
    }

    #[test]
    fn the_queue_delay_is_measured_between_two_readings() {
        let begun = Instant::now();
        let first = Worker::read(None, reading(begun, 0.0, 1.0, 10.0));
        assert_eq!(first.value(ScalingMetricType::QueueDelayMilliseconds), None);
        let soon = Worker::read(Some(first), reading(begun + Duration::from_secs(1), 0.0, 2.0, 12.0));
        assert_eq!(soon.value(ScalingMetricType::QueueDelayMilliseconds), None, "too soon after the first");
        let later = Worker::read(Some(soon), reading(begun + Duration::from_secs(9), 3.0, 5.0, 20.0));
        assert_eq!(later.value(ScalingMetricType::QueueDelayMilliseconds), Some(1000.0 * 3.0 / 8.0));
    }

    #[test]
    fn a_worker_that_answered_nobody_has_no_delay_unless_somebody_waits() {
        let begun = Instant::now();
        let later = begun + Duration::from_secs(9);
        for (depth, expected) in [(0.0, Some(0.0)), (4.0, None)] {
            let worker = Worker::read(None, reading(begun, 0.0, 1.0, 10.0));
            let worker = Worker::read(Some(worker), reading(later, depth, 1.0, 10.0));
            assert_eq!(worker.value(ScalingMetricType::QueueDelayMilliseconds), expected);
        }
    }

    #[test]
    fn a_worker_that_was_restarted_is_measured_anew() {
        let begun = Instant::now();
        let worker = Worker::read(None, reading(begun, 0.0, 9.0, 100.0));
        let worker = Worker::read(Some(worker), reading(begun + Duration::from_secs(9), 0.0, 1.0, 2.0));
        assert_eq!(worker.value(ScalingMetricType::QueueDelayMilliseconds), None);
    }
}
