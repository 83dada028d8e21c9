//! What a worker says about its work, read from its metrics.

use std::time::{Duration, Instant};

use belfry_crds::inference_model::ScalingMetricType;

use belfry_render::engine::{EngineSeries, ScalingSeries};

/// A rate over a shorter time says more about chance than about load.
const WINDOW: Duration = Duration::from_secs(5);

/// One reading of a worker's metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// When it was made.
    pub(super) at: Instant,
    /// Texts that wait.
    pub(super) queue_depth: Option<f64>,
    /// Requests that are not answered yet.
    pub(super) in_flight: Option<f64>,
    /// Seconds that answered requests have waited, and how many these were, since the worker began.
    pub(super) waited: Option<(f64, f64)>,
    /// Seconds in which the device worked since the worker began.
    pub(super) busy: Option<f64>,
}

impl Reading {
    /// Reads the text exposition of a worker; `None` when none of the series is there.
    #[must_use]
    pub(super) fn parse(exposition: &str, series: &ScalingSeries, at: Instant) -> Option<Self> {
        let reading = Self {
            at,
            queue_depth: total(exposition, &series.queue_depth, ""),
            in_flight: total(exposition, &series.in_flight, ""),
            waited: total(exposition, &series.queue_time, "_sum").zip(total(exposition, &series.queue_time, "_count")),
            busy: total(exposition, &series.busy, ""),
        };
        let Self { at: _, queue_depth, in_flight, waited, busy } = reading;
        let is_empty = queue_depth.or(in_flight).or(busy).is_none() && waited.is_none();
        (!is_empty).then_some(reading)
    }
}

/// The sum over the series of all sources; `None` when one of them has no series, or one of a series no number.
fn total(exposition: &str, sources: &[EngineSeries], suffix: &str) -> Option<f64> {
    let values = sources.iter().map(|source| sum(exposition, source, suffix));
    values.reduce(|a, b| Some(a? + b?)).flatten()
}

fn sum(exposition: &str, source: &EngineSeries, suffix: &str) -> Option<f64> {
    // No series of a scaler is chosen by a regular expression.
    if !source.like.is_empty() {
        return None;
    }
    let values = exposition.lines().filter_map(|line| {
        let rest = line.strip_prefix(source.name.as_str())?.strip_prefix(suffix)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let is_wanted = source.equal.iter().all(|(label, value)| has_label(labels, label, value));
        is_wanted.then(|| number(value))
    });
    values.reduce(|a, b| Some(a? + b?)).flatten()
}

/// Whether a label has a value, in the text between the braces. Values that need escapes are not looked for.
fn has_label(labels: &str, label: &str, value: &str) -> bool {
    let wanted = format!("{label}=\"{value}\"");
    labels.match_indices(&wanted).any(|(at, _)| at == 0 || labels[..at].ends_with(','))
}

fn number(text: &str) -> Option<f64> {
    let value: f64 = text.split_whitespace().next()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// The last reading of a worker, and one from before, for what has to be measured over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worker {
    last: Reading,
    before: Option<Reading>,
}

impl Worker {
    /// A worker that was read for the first time, or once more.
    #[must_use]
    pub(super) fn read(known: Option<Self>, last: Reading) -> Self {
        let before = known.and_then(|known| {
            let is_old = last.at.duration_since(known.last.at) >= WINDOW;
            if is_old { Some(known.last) } else { known.before }
        });
        Self { last, before }
    }

    /// Whether the last reading is of that time or later.
    #[must_use]
    pub(super) fn is_read_since(&self, time: Instant) -> bool {
        self.last.at >= time
    }

    /// The value of a metric; `None` when it is not known yet.
    #[must_use]
    pub(super) fn value(&self, type_: ScalingMetricType) -> Option<f64> {
        match type_ {
            ScalingMetricType::QueueDepth => self.last.queue_depth,
            ScalingMetricType::InFlightRequests => self.last.in_flight,
            ScalingMetricType::QueueDelayMilliseconds => self.queue_delay(),
            ScalingMetricType::DeviceBusyPercent => self.busy_percent(),
        }
    }

    /// The share of the time between the two readings. A forward pass counts when it ends, so that a long one may seem
    /// to have taken more than there was.
    fn busy_percent(&self) -> Option<f64> {
        let before = self.before?;
        let busy = self.last.busy? - before.busy?;
        let share = busy / self.last.at.duration_since(before.at).as_secs_f64();
        (busy >= 0.0 && share.is_finite()).then(|| 100.0 * share.min(1.0))
    }

    /// The mean over the requests that were answered between the two readings. Where none was, an empty queue means no
    /// delay, and a queue that does not move means that it is not known.
    fn queue_delay(&self) -> Option<f64> {
        let (seconds, count) = self.last.waited?;
        let (seconds_before, count_before) = self.before?.waited?;
        let answered = count - count_before;
        if answered > 0.0 {
            return Some(1000.0 * (seconds - seconds_before).max(0.0) / answered);
        }
        (answered == 0.0 && self.last.queue_depth == Some(0.0)).then_some(0.0)
    }
}

#[cfg(test)]
mod tests;
