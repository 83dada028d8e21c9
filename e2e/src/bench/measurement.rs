//! What was measured, beside what it is compared with and what it should be.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::report;

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub metric: String,
    /// Models in the cluster.
    pub models: usize,
    /// Unit of `ours` and `reference`.
    pub unit: &'static str,
    /// What the operator needed.
    pub ours: Option<f64>,
    /// What the plain client needed for the same.
    pub reference: Option<f64>,
    /// `ours` by `reference`.
    pub ratio: Option<f64>,
    /// What it should be, in words; none for a measurement that only explains others.
    pub target: Option<String>,
    /// Whether it is as it should be.
    pub holds: Option<bool>,
}

/// What a measurement should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At most that much.
    AtMost(f64),
    /// At least that much.
    AtLeast(f64),
    /// Exactly that much.
    Exactly(f64),
    /// At most that many times the reference.
    TimesReference(f64),
}

impl Measurement {
    /// A measurement of the operator's alone.
    pub fn ours(models: usize, metric: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        let metric = metric.into();
        Self { metric, models, unit, ours: Some(ours), reference: None, ratio: None, target: None, holds: None }
    }

    /// A measurement of the plain client's alone.
    pub fn reference(models: usize, metric: impl Into<String>, unit: &'static str, reference: f64) -> Self {
        Self { ours: None, ..Self::ours(models, metric, unit, 0.0) }.beside(reference)
    }

    /// What the plain client needed.
    pub fn beside(mut self, reference: f64) -> Self {
        self.reference = Some(reference);
        self.ratio = self.ours.filter(|_| reference > 0.0).map(|ours| ours / reference);
        self
    }

    /// What it should be.
    pub fn should(mut self, target: Bound) -> Self {
        let holds = |value: Option<f64>, is_good: &dyn Fn(f64) -> bool| value.map(is_good);
        (self.target, self.holds) = match target {
            Bound::AtMost(most) => (Some(format!("≤ {most}")), holds(self.ours, &|ours| ours <= most)),
            Bound::AtLeast(least) => (Some(format!("≥ {least}")), holds(self.ours, &|ours| ours >= least)),
            // Counts by model are ratios of two counts, and exact only up to the last bits.
            Bound::Exactly(it) => (Some(format!("= {it}")), holds(self.ours, &|ours| (ours - it).abs() < 1e-6)),
            Bound::TimesReference(most) => (Some(format!("≤ {most} ×")), holds(self.ratio, &|ratio| ratio <= most)),
        };
        self
    }

    /// The same, if the condition holds; else the measurement without a target.
    pub fn should_if(self, condition: bool, target: Bound) -> Self {
        if condition { self.should(target) } else { self }
    }
}

/// Cargo's target folder.
pub fn target_folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Writes the measurements as JSON, by default to `bench/NAME.json` in Cargo's target folder, and prints them as a table. A target that is missed is a
/// measurement like any other.
pub fn publish(name: &str, out: Option<PathBuf>, measurements: &[Measurement]) -> Result<()> {
    let out = out.unwrap_or_else(|| target_folder().join(format!("bench/{name}.json")));
    fs::create_dir_all(out.parent().context("a file in no folder")?)?;
    fs::write(&out, serde_json::to_string_pretty(measurements)? + "\n")?;
    write!(std::io::stdout(), "{}", table(measurements))?;
    let missed = measurements.iter().filter(|measurement| measurement.holds == Some(false)).count();
    report(&format!("{missed} targets missed; all measurements are in {}", out.display()));
    Ok(())
}

/// The measurements as a table for people.
pub fn table(measurements: &[Measurement]) -> String {
    let number = |value: Option<f64>| value.map_or_else(String::new, short);
    let mut rows =
        vec![["models", "metric", "ours", "reference", "ratio", "unit", "target", "holds"].map(str::to_owned)];
    rows.extend(measurements.iter().map(|measurement| {
        let holds = measurement.holds.map_or("", |holds| if holds { "yes" } else { "NO" });
        [
            measurement.models.to_string(),
            measurement.metric.clone(),
            number(measurement.ours),
            number(measurement.reference),
            measurement.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            measurement.unit.to_owned(),
            measurement.target.clone().unwrap_or_default(),
            holds.to_owned(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Three digits that matter, and no more than the number has.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The value that the share `percent` of the samples does not exceed, by the nearest rank; 0 without samples.
pub fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (samples.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_judged_and_not_the_figure_itself() {
        let time = Measurement::ours(100, "time", "s", 12.0).beside(10.0);
        assert_eq!(time.clone().should(Bound::TimesReference(1.25)).holds, Some(true));
        assert_eq!(time.should(Bound::TimesReference(1.1)).holds, Some(false));
    }

    #[test]
    fn a_figure_without_a_target_is_not_judged() {
        let measurement = Measurement::ours(100, "CPU", "s", 1.0).should_if(false, Bound::AtMost(0.0));
        assert_eq!((measurement.target, measurement.holds), (None, None));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let samples: Vec<_> = (1..=50).rev().map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&samples, percent)), [25.0, 50.0, 50.0]);
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn the_table_names_what_is_missed() {
        let measurements = [
            Measurement::ours(100, "writes at rest", "requests", 0.0).should(Bound::Exactly(0.0)),
            Measurement::ours(100, "RSS", "MB", 30.25).should(Bound::AtMost(25.0)),
        ];
        let text = table(&measurements);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
        assert_eq!(lines, ["holds", "yes", "NO"]);
        assert!(text.contains("30.2"), "{text}");
    }
}
