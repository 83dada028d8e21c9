//! Objectives → the series that burn-rate alerts read, and the pairs of windows that they compare.
//!
//! A pair fires when the budget is spent faster than the pair's factor in both its windows: the long
//! window shows that the fault matters, the short one that it is still there. This is the multi-window
//! method of the SRE workbook, with two changes. At least [`LEAST_ERRORS`] requests must have failed,
//! because on a quiet model a single failure would look like a burn. And no threshold exceeds
//! [`HIGHEST_RATIO`], because 14.4 times the budget of a 90 % objective is more than all requests.

use std::collections::BTreeMap;

use belfry_crds::contract::{metrics, threshold_seconds};
use belfry_crds::inference_model::ScrapeInterval;
use belfry_crds::monitoring::Rule;

use super::promql::{Record, SeriesOf, Total, all};
use crate::model::{Objective, ValidIndicator, ValidModel};

/// Minimum number of failures for an alert.
pub(super) const LEAST_ERRORS: u32 = 5;

/// Seconds that a caller waits who has no objective of latency. A bound of the histograms.
const PATIENCE: f64 = 5.0;

/// A share of failures above this always counts as a burn.
const HIGHEST_RATIO: f64 = 0.8;

/// Windows over the worker's own series.
const RAW: &[&str] = &["5m", "30m", "1h"];

/// Windows over recorded rates. Reading three days of every pod's counters at each evaluation would
/// cost a hundred times more. The recorded rates blur times by five minutes, which does not matter for
/// windows this long.
const SMEARED: &[&str] = &["2h", "6h", "1d", "3d"];

/// A pair of windows that are compared, and the factor by which the budget is spent too fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burn {
    pub(super) critical: bool,
    pub(super) long: &'static str,
    pub(super) short: &'static str,
    factor: f64,
}

/// The pairs, fastest first.
pub(super) const BURNS: &[Burn] = &[
    Burn { critical: true, long: "1h", short: "5m", factor: 14.4 },
    Burn { critical: true, long: "6h", short: "30m", factor: 6.0 },
    Burn { critical: false, long: "1d", short: "2h", factor: 3.0 },
    Burn { critical: false, long: "3d", short: "6h", factor: 1.0 },
];

impl Burn {
    /// Share of failures above which this pair fires.
    pub(super) fn threshold(&self, objective: &Objective) -> f64 {
        (self.factor * (1.0 - objective.ratio)).min(HIGHEST_RATIO)
    }

    /// Time in which the budget of 30 days is spent at that threshold.
    pub(super) fn exhaustion(&self, objective: &Objective) -> String {
        let hours = (720.0 * (1.0 - objective.ratio) / self.threshold(objective)).round();
        if hours < 72.0 { format!("{hours} hours") } else { format!("{} days", (hours / 24.0).round()) }
    }

    /// The expression with which this pair fires.
    pub(super) fn expr(&self, model: &ValidModel, objective: &Objective) -> String {
        let series = SeriesOf::model(model);
        let recorded = |record: Record| series.recorded(&record, &objective.name);
        let threshold = number(self.threshold(objective));
        format!(
            "{} > {threshold} and {} > {threshold} and {} >= {LEAST_ERRORS}",
            recorded(Record::ErrorRatio(self.long)),
            recorded(Record::ErrorRatio(self.short)),
            recorded(Record::Errors(self.long)),
        )
    }
}

/// Windows of the failures that alerts read.
const WINDOWS: &[&str] = &["1m", "2m", "5m", "10m", "1h"];

/// The window of the times that alerts read.
pub(super) const TIMES: &str = "10m";

/// The recording rules about all requests of a model, without which several alerts would repeat the same long expressions.
pub(super) fn traffic(model: &ValidModel) -> Vec<Rule> {
    let series = SeriesOf::model(model);
    let labels =
        BTreeMap::from([("namespace".to_owned(), model.namespace.clone()), ("model".to_owned(), model.name.clone())]);
    let record = |record: Record, expr: String| Rule {
        record: Some(record.to_string()),
        expr,
        labels: labels.clone(),
        ..Rule::default()
    };
    let slow = slow(model);
    let mut rules: Vec<_> = WINDOWS
        .iter()
        .flat_map(|window| {
            let failures = failures(&series, model, Total::increase, window);
            [
                record(Record::Requests(window), requests(&series, Total::increase, window)),
                record(Record::Failures(window), failures),
            ]
        })
        .collect();
    rules.push(record(Record::Timed(TIMES), total(&series, model, &slow, Total::increase, TIMES)));
    rules.push(record(Record::Slow(TIMES), errors(&series, model, &slow, Total::increase, TIMES)));
    rules
}

/// Whether the model's engine counts failed requests.
pub(super) fn counts_failures(model: &ValidModel) -> bool {
    let failures = failures(&SeriesOf::model(model), model, Total::increase, "5m");
    model.engine.as_ref().is_none_or(|engine| engine.offers(&failures))
}

/// Requests that took longer than five seconds; for an engine without that bound, longer than its next one.
fn slow(model: &ValidModel) -> Objective {
    let (threshold, seconds) = slow_from(model).unwrap_or_else(|| ("5s".to_owned(), PATIENCE));
    let indicator = ValidIndicator::Latency { threshold, seconds };
    Objective { name: String::new(), percent: String::new(), ratio: 0.0, indicator }
}

/// The time from which a request is slow, as text and in seconds; `None` for an engine that does not say.
pub(super) fn slow_from(model: &ValidModel) -> Option<(String, f64)> {
    let Some(engine) = &model.engine else { return Some(("5s".to_owned(), PATIENCE)) };
    let bounds = engine.latency_thresholds().filter_map(|bound| Some((bound.clone(), threshold_seconds(bound)?)));
    bounds.filter(|(_, seconds)| *seconds >= PATIENCE).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The recording rules of one objective.
pub(super) fn records(model: &ValidModel, objective: &Objective) -> Vec<Rule> {
    let series = SeriesOf::model(model);
    let recorded = |record: Record| series.recorded(&record, &objective.name);
    let record = |record: Record, expr: String| Rule {
        record: Some(record.to_string()),
        expr,
        labels: BTreeMap::from([
            ("namespace".to_owned(), model.namespace.clone()),
            ("model".to_owned(), model.name.clone()),
            ("slo".to_owned(), objective.name.clone()),
        ]),
        ..Rule::default()
    };
    let mut rules = vec![
        record(Record::Objective, format!("vector({})", number(objective.ratio))),
        record(Record::RequestRate, total(&series, model, objective, Total::rate, "5m")),
        record(Record::ErrorRate, errors(&series, model, objective, Total::rate, "5m")),
    ];
    for window in RAW {
        let errors = errors(&series, model, objective, Total::rate, window);
        let total = total(&series, model, objective, Total::rate, window);
        rules.push(record(Record::ErrorRatio(window), format!("({errors}) / ({total} > 0)")));
    }
    for window in SMEARED {
        let errors = recorded(Record::ErrorRate).over_time("sum", window);
        let total = recorded(Record::RequestRate).over_time("sum", window);
        rules.push(record(Record::ErrorRatio(window), format!("{errors} / ({total} > 0)")));
    }
    for burn in BURNS {
        let increase = if RAW.contains(&burn.long) {
            errors(&series, model, objective, Total::increase, burn.long)
        } else {
            // The sum of rates, times the interval that each stands for. If the interval has changed, the result
            // is off by the same factor, which is good enough for a guard.
            let rates = recorded(Record::ErrorRate).over_time("sum", burn.long);
            format!("{rates} * {}", seconds(model.monitoring.interval))
        };
        rules.push(record(Record::Errors(burn.long), increase));
    }
    rules
}

/// [`Total::rate`] or [`Total::increase`].
pub(super) type Growth = fn(&Total, &str) -> String;

/// Requests that count.
pub(super) fn total(
    series: &SeriesOf,
    model: &ValidModel,
    objective: &Objective,
    growth: Growth,
    window: &str,
) -> String {
    match objective.indicator {
        ValidIndicator::Availability => requests(series, growth, window),
        ValidIndicator::Latency { seconds, .. } => {
            let served = served(series, growth, window);
            match late(series, model, seconds, growth, window) {
                Some(late) => format!("{served} + ({late} or vector(0))"),
                None => served,
            }
        }
    }
}

/// Requests that break the objective.
pub(super) fn errors(
    series: &SeriesOf,
    model: &ValidModel,
    objective: &Objective,
    growth: Growth,
    window: &str,
) -> String {
    match objective.indicator {
        ValidIndicator::Availability => failures(series, model, growth, window),
        // Without a fallback: a missing bucket must not look like an objective that is met.
        ValidIndicator::Latency { seconds, .. } => {
            let fast = series.bucket(&metrics::REQUEST_DURATION, seconds).eq("phase", "total");
            let fast = all("sum", growth(&fast, window));
            format!("{} - {fast}", total(series, model, objective, growth, window))
        }
    }
}

/// Requests that failed their callers: those that were answered with a 5xx, and those whose callers left after they had waited
/// for too long. Without a failure there is no series yet; that means 0, not unknown.
pub(super) fn failures(series: &SeriesOf, model: &ValidModel, growth: Growth, window: &str) -> String {
    let failed = all("sum", growth(&failed(series), window));
    match late(series, model, patience(model), growth, window) {
        Some(late) => format!("({failed} or vector(0)) + ({late} or vector(0))"),
        None => format!("{failed} or vector(0)"),
    }
}

/// Requests that were answered with a 5xx. Every 5xx counts, also a 503 while loading or draining: the
/// caller got no answer, and a Service sends no requests to workers that are not ready.
pub(super) fn failed(series: &SeriesOf) -> Total {
    series.counter(&metrics::REQUESTS).matching("status", "5..")
}

/// Seconds after which a caller that left without an answer has been failed: the strictest objective of latency, and at most
/// [`PATIENCE`].
pub(super) fn patience(model: &ValidModel) -> f64 {
    let thresholds = model.monitoring.objectives.iter().filter_map(|objective| match objective.indicator {
        ValidIndicator::Availability => None,
        ValidIndicator::Latency { seconds, .. } => Some(seconds),
    });
    thresholds.fold(PATIENCE, f64::min)
}

/// The same, for people.
pub(super) fn patience_text(model: &ValidModel) -> String {
    let seconds = patience(model);
    if seconds < 1.0 { format!("{} ms", seconds * 1000.0) } else { format!("{seconds} s") }
}

/// Every request, whatever became of it.
fn requests(series: &SeriesOf, growth: Growth, window: &str) -> String {
    all("sum", growth(&series.counter(&metrics::REQUESTS), window))
}

fn served(series: &SeriesOf, growth: Growth, window: &str) -> String {
    all("sum", growth(&series.count(&metrics::REQUEST_DURATION).eq("phase", "total"), window))
}

/// Requests whose callers left after they had waited for longer. `None` for other engines, which do not say how long. A caller
/// that leaves at once has changed its mind.
fn late(series: &SeriesOf, model: &ValidModel, seconds: f64, growth: Growth, window: &str) -> Option<String> {
    let sum = |total: &Total| all("sum", growth(total, window));
    let all = series.count(&metrics::ABANDONED_DURATION);
    let early = series.bucket(&metrics::ABANDONED_DURATION, seconds);
    model.engine.is_none().then(|| format!("({} - {})", sum(&all), sum(&early)))
}

/// A number without the rounding errors of binary fractions.
fn number(value: f64) -> String {
    ((value * 1e9).round() / 1e9).to_string()
}

const fn seconds(interval: ScrapeInterval) -> u32 {
    match interval {
        ScrapeInterval::FiveSeconds => 5,
        ScrapeInterval::TenSeconds => 10,
        ScrapeInterval::FifteenSeconds => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(ratio: f64) -> Objective {
        Objective { name: "x".into(), percent: String::new(), ratio, indicator: ValidIndicator::Availability }
    }

    #[test]
    fn every_objective_of_the_api_can_be_broken() {
        for ratio in [0.5, 0.9, 0.931, 0.99, 0.99999] {
            for burn in BURNS {
                let threshold = burn.threshold(&objective(ratio));
                assert!(threshold > 0.0 && threshold <= HIGHEST_RATIO, "{ratio} {threshold}");
            }
        }
    }

    #[test]
    fn exhaustion_is_what_the_workbook_says() {
        let times: Vec<_> = BURNS.iter().map(|burn| burn.exhaustion(&objective(0.999))).collect();
        assert_eq!(times, ["50 hours", "5 days", "10 days", "30 days"]);
        assert_eq!(BURNS[0].exhaustion(&objective(0.5)), "19 days");
    }

    #[test]
    fn numbers_are_written_without_noise() {
        assert_eq!(number(14.4 * (1.0 - 0.999)), "0.0144");
        assert_eq!(number(1.0 - 0.99999), "0.00001");
    }
}
