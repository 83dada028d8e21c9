//! Names of other servers for Belfry's series, so that dashboards and alerts that were written for those go on.
//!
//! Each set of names is a group of recording rules about all models. The chart installs the sets that are asked for. A record is
//! up to one interval old, so Belfry's own alerts read none. Counters stay counters of one pod each: a sum over pods would look like
//! a reset when one of them ends.

use std::fmt::Display;

use belfry_crds::contract::metric::Histogram;
use belfry_crds::monitoring::{PrometheusRuleSpec, Rule, RuleGroup};

use super::promql::{SeriesOf, Total};

mod engines;
mod matrixinfer;
mod page;
mod sie;
mod skyserve;
mod smg;

/// A set of names.
pub struct Names {
    /// Its name in `monitoring.names` of the chart.
    pub id: &'static str,
    /// Whose names they are.
    pub owner: &'static str,
    /// What a user of the set has to know, in one or two sentences; may be empty.
    pub note: &'static str,
    /// A recording rule for each series that gets such a name.
    pub rules: Vec<Rule>,
    /// Names of the set that no series of Belfry stands for, each with the reason.
    pub missing: &'static [(&'static str, &'static str)],
}

impl Names {
    /// The rules, as the chart installs them.
    #[must_use]
    pub fn spec(&self) -> PrometheusRuleSpec {
        let name = format!("inference.names.{}", self.id);
        PrometheusRuleSpec { groups: vec![RuleGroup { name, interval: Some("30s".into()), rules: self.rules.clone() }] }
    }
}

/// Every set.
#[must_use]
pub fn names() -> Vec<Names> {
    vec![
        sie::names(),
        smg::names(),
        matrixinfer::names(),
        skyserve::names(),
        engines::tei(),
        engines::vllm(),
        engines::triton(),
    ]
}

pub use page::page;

fn rule(record: &str, labels: &[(&str, &str)], expr: impl Display) -> Rule {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Rule { record: Some(record.into()), expr: expr.to_string(), labels, ..Rule::default() }
}

/// A rule for each series of a histogram.
fn histogram(record: &str, series: &SeriesOf, metric: &Histogram, expr: impl Fn(Total) -> String) -> Vec<Rule> {
    [("_bucket", series.buckets(metric)), ("_sum", series.sum(metric)), ("_count", series.count(metric))]
        .map(|(suffix, series)| rule(&format!("{record}{suffix}"), &[], expr(series)))
        .into()
}

/// The same series without these labels; what has only them different is added up.
fn without(labels: &[&str], expr: impl Display) -> String {
    format!("sum without ({}) ({expr})", labels.join(", "))
}

/// The same series with another label that has the value of one of theirs.
fn labelled(to: &str, from: &str, expr: impl Display) -> String {
    format!("label_replace({expr}, \"{to}\", \"$1\", \"{from}\", \"(.+)\")")
}
