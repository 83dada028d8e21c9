//! A case of an alert: the values of some series over time, and the alerts that must fire at some moments.
//!
//! Time starts at 0 and moves in steps of [`STEP`]: four of them are a minute. A case names only what the fault adds:
//! labels of the series, and the two texts as a person will read them. The rest comes from the rule.

use serde::Serialize;

/// Scrape and evaluation interval of every case.
pub const STEP: &str = "15s";

/// The values of some series over time, and what the alert does at some moments.
#[derive(Clone, Debug)]
pub struct Case {
    pub(super) name: &'static str,
    pub(super) series: Vec<InputSeries>,
    pub(super) checks: Vec<Check>,
}

/// A check at a moment.
#[derive(Clone, Debug)]
pub(super) enum Check {
    Alerts { at: &'static str, expected: Vec<Expected> },
    Value { at: &'static str, expression: String, expected: Option<(String, f64)> },
}

/// A series as promtool reads it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct InputSeries {
    series: String,
    values: String,
}

/// An alert that must fire.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Labels that come from the series, or that distinguish the rules of one alert.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    pub(super) summary: String,
    /// `None` where the rule has no annotation `description`.
    pub(super) description: Option<String>,
}

impl Case {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, series: vec![], checks: vec![] }
    }

    /// Adds a series, from time 0 on.
    pub(super) fn with(mut self, series: impl Into<String>, values: impl Into<String>) -> Self {
        self.series.push(InputSeries { series: series.into(), values: values.into() });
        self
    }

    /// No alert fires at this time.
    pub(super) fn quiet(self, at: &'static str) -> Self {
        self.fires(at, &[])
    }

    /// Exactly these alerts fire at this time.
    pub(super) fn fires(mut self, at: &'static str, expected: &[Expected]) -> Self {
        self.checks.push(Check::Alerts { at, expected: expected.to_vec() });
        self
    }

    /// An expression has this value at this time, or no value.
    pub(super) fn value(
        mut self,
        at: &'static str,
        expression: impl Into<String>,
        expected: Option<(&str, f64)>,
    ) -> Self {
        let expected = expected.map(|(labels, value)| (labels.to_owned(), value));
        self.checks.push(Check::Value { at, expression: expression.into(), expected });
        self
    }
}

/// Values that stay for some steps each. The value `_` is a missing scrape, `stale` the end of a
/// series. promtool writes the number of repetitions after a value, but the number of all after `_`.
pub(super) fn hold(parts: &[(&str, u32)]) -> String {
    let part = |(value, steps): &(&str, u32)| match (*value, *steps) {
        (value, 1) => value.to_owned(),
        ("_", steps) => format!("_x{steps}"),
        (value, steps) => format!("{value}x{}", steps - 1),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// A counter: pairs of its growth in a step and the number of such steps.
pub(super) fn grow(parts: &[(u32, u32)]) -> String {
    let mut value = 0;
    let mut values = vec![];
    for (growth, steps) in parts {
        values.push(format!("{value}+{growth}x{}", steps - 1));
        value += growth * steps;
    }
    values.join(" ")
}

/// An alert that fires with these labels and this summary.
pub(super) fn expected(labels: &[(&'static str, &'static str)], summary: &str) -> Expected {
    Expected { labels: labels.to_vec(), summary: summary.into(), description: None }
}

impl Expected {
    /// The same alert, with the annotation `description`.
    pub(super) fn described(self, description: &str) -> Self {
        Self { description: Some(description.into()), ..self }
    }
}
