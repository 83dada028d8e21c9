//! Objectives → the series that burn-rate alerts read, and the pairs of windows that they compare.
//!
//! A pair fires when the budget is spent faster than the pair's factor in both its windows: the long
//! window shows that the fault matters, the short one that it is still there. This is the multi-window
//! method of the SRE workbook, with two changes. At least [`LEAST_ERRORS`] requests must have failed,
//! because on a quiet model a single failure would look like a burn. And no threshold exceeds
//! [`HIGHEST_RATIO`], because 14.4 times the budget of a 90 % objective is more than all requests.
//!
//! Every expression on raw series is recorded once, and the availability of all objectives is that of the model: a
//! PrometheusRule has to stay small ([`super::rules`]).

use belfry_crds::contract::{metrics, threshold_seconds};
use belfry_crds::inference_model::ScrapeInterval;
use belfry_crds::monitoring::Rule;

use super::promql::{Level, Record, SeriesOf, Total, all, by_model};
use crate::model::{Objective, ValidIndicator, ValidModel};

/// Minimum number of failures for an alert.
pub(super) const LEAST_ERRORS: u32 = 5;

/// Seconds that a caller waits who has no objective of latency. A bound of the histograms.
const PATIENCE: f64 = 5.0;

/// A share of failures above this always counts as a burn.
const HIGHEST_RATIO: f64 = 0.8;

/// Windows over the worker's own series, whose ratios are recorded.
const RAW: &[&str] = &["5m", "30m", "1h"];

/// The window of the counts that longer windows are added up from. Reading three days of every pod's counters at each evaluation
/// would cost a hundred times more. The counts blur times by five minutes, which does not matter for windows of two hours and more.
const STEP: &str = "5m";

/// The same, in seconds.
pub(super) const STEP_SECONDS: u32 = 300;

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

    /// The expression with which this pair fires. Its series have the labels `long` and `short`, so that one rule can have two
    /// pairs.
    pub(super) fn expr(&self, model: &ValidModel, objective: &Objective) -> String {
        let series = SeriesOf::model(model);
        let threshold = number(self.threshold(objective));
        let exceeds = |window| format!("{} > {threshold}", ratio(&series, objective, window));
        let burns = format!(
            "{} and on () {} and on () {}",
            exceeds(self.long),
            exceeds(self.short),
            self.guard(model, objective)
        );
        let named = |expr: &str, label: &str, window: &str| {
            format!("label_replace({expr}, \"{label}\", \"{window}\", \"\", \"\")")
        };
        named(&named(&burns, "long", self.long), "short", self.short)
    }

    /// That enough requests were bad within the long window.
    fn guard(&self, model: &ValidModel, objective: &Objective) -> String {
        let series = SeriesOf::model(model);
        if !RAW.contains(&self.long) {
            // Each count stands for the interval in which it was made. If the interval has changed, the result is off by the same
            // factor, which is good enough for a guard.
            let least = LEAST_ERRORS * STEP_SECONDS / seconds(model.monitoring.interval);
            return format!("{} >= {least}", counts(&series, objective)[0].over_time("sum", self.long));
        }
        let errors = match objective.indicator {
            ValidIndicator::Availability => series.traffic(&Record::Failures(self.long)).to_string(),
            ValidIndicator::Latency { .. } => {
                let recorded = |record: Record| series.recorded(&record, &objective.name);
                format!("{} * {}", recorded(Record::ErrorRatio(self.long)), recorded(Record::Total(self.long)))
            }
        };
        format!("{errors} >= {LEAST_ERRORS}")
    }
}

/// Bad requests and all that count, of five minutes each.
pub(super) fn counts(series: &SeriesOf, objective: &Objective) -> [Level; 2] {
    match objective.indicator {
        ValidIndicator::Availability => {
            [Record::Failures(STEP), Record::Requests(STEP)].map(|record| series.traffic(&record))
        }
        ValidIndicator::Latency { .. } => {
            [Record::Errors(STEP), Record::Total(STEP)].map(|record| series.recorded(&record, &objective.name))
        }
    }
}

/// Share of bad requests within a window: nothing, or no number, without requests.
pub(super) fn ratio(series: &SeriesOf, objective: &Objective, window: &'static str) -> String {
    if RAW.contains(&window) {
        return series.recorded(&Record::ErrorRatio(window), &objective.name).to_string();
    }
    let [errors, total] = counts(series, objective).map(|count| count.over_time("sum", window));
    format!("{errors} / {total}")
}

/// Fewer requests in five minutes are few: a share of 5 % of them is less than [`LEAST_ERRORS`].
const FEW_REQUESTS: u32 = 100;

/// Windows of the failures that alerts read.
const WINDOWS: &[&str] = &["1m", "2m", "5m", "10m", "30m", "1h"];

/// The window of the times that alerts read.
pub(super) const TIMES: &str = "10m";

/// The recording rules about all requests of a model, without which several rules would repeat the same long expressions.
pub(super) fn traffic(model: &ValidModel) -> Vec<Rule> {
    let series = SeriesOf::model(model);
    let record = |record: Record, expr: String| labelled(&record, expr, model, None);
    let slow = slow_from(model).map_or(PATIENCE, |(_, seconds)| seconds);
    let mut rules: Vec<_> = WINDOWS
        .iter()
        .flat_map(|window| {
            let requests = by_model("sum", series.counter(&metrics::REQUESTS).increase(window));
            let failures = failures(&series, model, window);
            let refused = by_model("sum", refused(&series).increase(window));
            [
                kept(&Record::Requests(window), requests, None),
                record(Record::Failures(window), failures),
                kept(&Record::Refused(window), refused, None),
            ]
        })
        .collect();
    rules.push(kept(&Record::FailedShare, share(&series, Record::Failures), None));
    rules.push(kept(&Record::RefusedShare, share(&series, Record::Refused), None));
    rules.push(record(Record::Timed(TIMES), timed(&series, model, slow, TIMES)));
    let all = series.traffic(&Record::Timed(TIMES));
    rules.push(record(Record::Slow(TIMES), format!("{all} - on () {}", fast(&series, slow, TIMES))));
    rules
}

/// A recording rule whose expression has lost the names of the model.
fn labelled(record: &Record, expr: String, model: &ValidModel, objective: Option<&Objective>) -> Rule {
    let mut rule = kept(record, expr, objective);
    rule.labels.insert("namespace".into(), model.namespace.clone());
    rule.labels.insert("model".into(), model.name.clone());
    rule
}

/// A recording rule whose expression keeps the names of the model.
fn kept(record: &Record, expr: String, objective: Option<&Objective>) -> Rule {
    let slo = objective.map(|objective| ("slo".to_owned(), objective.name.clone()));
    Rule { record: Some(record.to_string()), expr, labels: slo.into_iter().collect(), ..Rule::default() }
}

/// The share of the requests that were bad, where enough of them were: of five minutes; or what is less of ten minutes and an hour,
/// because a model that few ask needs longer for as many. Where more ask, five minutes alone decide, so that a fault that is over
/// ends the alert. Nothing or no number where too few were bad.
fn share(series: &SeriesOf, bad: fn(&'static str) -> Record) -> String {
    let bad = |window: &'static str| series.traffic(&bad(window));
    let requests = |window: &'static str| series.traffic(&Record::Requests(window));
    let ratio = |window: &'static str| format!("{} / {}", bad(window), requests(window));
    // Without a request in ten minutes their ratio is no number, and then neither is the lesser of the two.
    let lesser = format!("({} < {} or {})", ratio("1h"), ratio("10m"), ratio("10m"));
    let fast = format!("{} and {} >= {LEAST_ERRORS}", ratio("5m"), bad("5m"));
    format!("{fast} or {lesser} and {} >= {LEAST_ERRORS} and {} < {FEW_REQUESTS}", bad("1h"), requests("5m"))
}

/// Whether the model's engine counts refused requests.
pub(super) fn counts_refusals(model: &ValidModel) -> bool {
    let refused = refused(&SeriesOf::model(model)).to_string();
    model.engine.as_ref().is_none_or(|engine| engine.offers(&refused))
}

/// Whether the model's engine counts failed requests.
pub(super) fn counts_failures(model: &ValidModel) -> bool {
    let failures = failures(&SeriesOf::model(model), model, "5m");
    model.engine.as_ref().is_none_or(|engine| engine.offers(&failures))
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
    let record = |record: Record, expr: String| labelled(&record, expr, model, Some(objective));
    let target = record(Record::Objective, format!("vector({})", number(objective.ratio)));
    let ratios = match objective.indicator {
        ValidIndicator::Availability => RAW.iter().map(|window| availability(&series, objective, window)).collect(),
        ValidIndicator::Latency { seconds, .. } => latency(&series, model, objective, seconds),
    };
    std::iter::once(target).chain(ratios).collect()
}

fn availability(series: &SeriesOf, objective: &Objective, window: &'static str) -> Rule {
    let [failures, requests] =
        [Record::Failures(window), Record::Requests(window)].map(|record| series.traffic(&record));
    kept(&Record::ErrorRatio(window), format!("{failures} / ({requests} > 0)"), Some(objective))
}

/// Without a fallback: a missing bucket must not look like an objective that is met.
fn latency(series: &SeriesOf, model: &ValidModel, objective: &Objective, seconds: f64) -> Vec<Rule> {
    let recorded = |record: Record| series.recorded(&record, &objective.name);
    let record = |record: Record, expr: String| labelled(&record, expr, model, Some(objective));
    let total = |window: &'static str| timed(series, model, seconds, window);
    let fast = |window: &'static str| fast(series, seconds, window);
    let [errors, all] = [Record::Errors(STEP), Record::Total(STEP)].map(recorded);
    vec![
        record(Record::Total(STEP), total(STEP)),
        record(Record::Errors(STEP), format!("{all} - on () {}", fast(STEP))),
        kept(&Record::ErrorRatio(STEP), format!("{errors} / ({all} > 0)"), None),
        record(Record::ErrorRatio("30m"), format!("1 - {} / ({} > 0)", fast("30m"), total("30m"))),
        record(Record::Total("1h"), total("1h")),
        record(Record::ErrorRatio("1h"), format!("1 - {} / on () ({} > 0)", fast("1h"), recorded(Record::Total("1h")))),
    ]
}

/// Requests that were answered within this time.
fn fast(series: &SeriesOf, seconds: f64, window: &str) -> String {
    all("sum", series.bucket(&metrics::REQUEST_DURATION, seconds).eq("phase", "total").increase(window))
}

/// Requests whose time counts: those that were served, and those whose callers left after they had waited for longer.
fn timed(series: &SeriesOf, model: &ValidModel, seconds: f64, window: &str) -> String {
    let served = all("sum", series.count(&metrics::REQUEST_DURATION).eq("phase", "total").increase(window));
    match late(series, model, seconds, window) {
        Some(late) => format!("{served} + ({late} or vector(0))"),
        None => served,
    }
}

/// Requests that failed their callers: those that were answered with a 5xx, and those whose callers left after they had waited
/// for too long. Without a failure there is no series yet; that means 0, not unknown.
pub(super) fn failures(series: &SeriesOf, model: &ValidModel, window: &str) -> String {
    let failed = all("sum", failed(series).increase(window));
    match late(series, model, patience(model), window) {
        Some(late) => format!("({failed} or vector(0)) + ({late} or vector(0))"),
        None => format!("{failed} or vector(0)"),
    }
}

/// Requests that were answered with a 5xx. Every 5xx counts, also a 503 while loading or draining: the
/// caller got no answer, and a Service sends no requests to workers that are not ready.
pub(super) fn failed(series: &SeriesOf) -> Total {
    series.counter(&metrics::REQUESTS).matching("status", "5..")
}

/// Requests that were refused because a queue was full.
fn refused(series: &SeriesOf) -> Total {
    series.counter(&metrics::REQUESTS).eq("status", "429")
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

/// Requests whose callers left after they had waited for longer. `None` for other engines, which do not say how long. A caller
/// that leaves at once has changed its mind.
fn late(series: &SeriesOf, model: &ValidModel, seconds: f64, window: &str) -> Option<String> {
    let sum = |total: &Total| all("sum", total.increase(window));
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
