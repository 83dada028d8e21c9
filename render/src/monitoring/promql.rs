//! PromQL, typed so that an expression can read only series that exist.
//!
//! A [`SeriesOf`] names the model or the job whose series are read, and every selector starts from one. A
//! [`Total`] only grows, so it has `rate` and `increase`; a [`Level`] goes up and down, so it has
//! neither.

use std::borrow::Cow;
use std::fmt;

use belfry_crds::contract::metric::{Counter, Exporter, Gauge, Histogram, Metric};

use super::labels::AlertComponent;
pub(super) use super::record::Record;
use crate::engine::{EngineSeries, Mapping};
use crate::model::ValidModel;

/// The series of one model, job or component, from which an expression selects.
#[derive(Clone, Debug)]
pub struct SeriesOf {
    matchers: Vec<Matcher>,
    /// Narrows the series of workers, and no others.
    pods: Option<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    label: Cow<'static, str>,
    operator: &'static str,
    value: String,
}

impl SeriesOf {
    /// The series of one model.
    #[must_use]
    pub fn model(model: &ValidModel) -> Self {
        Self::named(&model.namespace, &model.name)
    }

    /// The series of the model with this name.
    #[must_use]
    pub fn named(namespace: &str, model: &str) -> Self {
        Self { matchers: vec![Matcher::equal("namespace", namespace), Matcher::equal("model", model)], pods: None }
    }

    /// The series of the targets of this job.
    #[must_use]
    pub fn job(job: &str) -> Self {
        Self { matchers: vec![Matcher::equal("job", job)], pods: None }
    }

    /// The series of every model and job.
    #[must_use]
    pub fn any() -> Self {
        Self { matchers: vec![], pods: None }
    }

    /// The series of the models in the dashboard's variables `namespace` and `model`.
    #[must_use]
    pub fn chosen() -> Self {
        let of = |label: &'static str, variable: &str| Matcher {
            label: label.into(),
            operator: "=~",
            value: variable.into(),
        };
        Self { matchers: vec![of("namespace", "$namespace"), of("model", "$model")], pods: None }
    }

    /// The series of every target that belongs to a model.
    #[must_use]
    pub fn models() -> Self {
        Self { matchers: vec![Matcher { label: "model".into(), operator: "!=", value: String::new() }], pods: None }
    }

    /// What Belfry's own workers export: it is scraped, and the series of other engines under Belfry's names are recorded and have
    /// no job.
    #[must_use]
    pub fn own_workers() -> Self {
        Self { matchers: vec![Matcher { label: "job".into(), operator: "!=", value: String::new() }], pods: None }
    }

    /// The alerts of a component, whatever series they read.
    #[must_use]
    pub fn component(component: AlertComponent) -> Self {
        Self { matchers: vec![Matcher::equal("component", component.as_str())], pods: None }
    }

    /// The same series, but of workers only those in the dashboard's variable `pod`.
    #[must_use]
    pub fn selected_pods(mut self) -> Self {
        self.pods = Some(Matcher { label: "pod".into(), operator: "=~", value: "$pod".into() });
        self
    }

    /// A counter of the contract.
    #[must_use]
    pub fn counter(&self, metric: &Counter) -> Total {
        Total(self.selector(metric, metric.name.into()))
    }

    /// A gauge of the contract.
    #[must_use]
    pub fn gauge(&self, metric: &Gauge) -> Level {
        Level(self.selector(metric, metric.name.into()))
    }

    /// All observations of a histogram.
    #[must_use]
    pub fn count(&self, metric: &Histogram) -> Total {
        Total(self.selector(metric, metric.count()))
    }

    /// The observations of a histogram, added up.
    #[must_use]
    pub fn sum(&self, metric: &Histogram) -> Total {
        Total(self.selector(metric, metric.sum()))
    }

    /// Every bucket of a histogram.
    #[must_use]
    pub fn buckets(&self, metric: &Histogram) -> Total {
        Total(self.selector(metric, metric.bucket()))
    }

    /// The observations of a histogram up to one of its bounds. A whole bound is `1` where Prometheus 2 or a collector stored
    /// it, and `1.0` where Prometheus 3 did.
    #[must_use]
    pub fn bucket(&self, metric: &Histogram, bound: f64) -> Total {
        let le = Histogram::le(bound);
        match le.strip_suffix(".0") {
            None => self.buckets(metric).eq("le", &le),
            Some(whole) => self.buckets(metric).one_of("le", &[whole, &le]),
        }
    }

    /// Series of another engine, under the engine's names. Only the recording rules that turn them into Belfry's read them; all
    /// other series are in the contract.
    #[must_use]
    pub(crate) fn foreign(&self, series: &EngineSeries, suffix: &str) -> String {
        let matcher = |operator: &'static str, pairs: &[(String, String)]| {
            let of = |(label, value): &(String, String)| Matcher {
                label: label.clone().into(),
                operator,
                value: value.clone(),
            };
            pairs.iter().map(of).collect::<Vec<_>>()
        };
        let own = matcher("=", &series.equal).into_iter().chain(matcher("=~", &series.like));
        let matchers = self.matchers.iter().cloned().chain(own).collect();
        Selector { name: format!("{}{suffix}", series.name), matchers }.to_string()
    }

    /// The series of the contract that an engine's stand for; `suffix` is one of the mapping's.
    #[must_use]
    pub(super) fn stood_for(&self, mapping: &Mapping, suffix: &str) -> String {
        let labels = mapping.labels.iter().map(|(label, value)| Matcher {
            label: label.clone().into(),
            operator: "=",
            value: value.clone(),
        });
        let matchers = self.matchers.iter().cloned().chain(labels).collect();
        Selector { name: format!("{}{suffix}", mapping.ours.name), matchers }.to_string()
    }

    /// Prometheus' own series of the workers' targets: 1 when the last scrape succeeded.
    #[must_use]
    pub fn up(&self) -> Level {
        let matchers = self.matchers.iter().chain(&self.pods).cloned().collect();
        Level(Selector { name: "up".into(), matchers })
    }

    /// Prometheus' own series of alerts that are pending or firing.
    #[must_use]
    pub fn alerts(&self) -> Level {
        Level(Selector { name: "ALERTS".into(), matchers: self.matchers.clone() })
    }

    /// Only the matchers, in braces, for the label filter of Grafana's list of alerts.
    #[must_use]
    pub fn matchers(&self) -> String {
        Selector { name: String::new(), matchers: self.matchers.clone() }.to_string()
    }

    /// A series that a recording rule about all requests of the model writes.
    #[must_use]
    pub(super) fn traffic(&self, record: &Record) -> Level {
        Level(Selector { name: record.to_string(), matchers: self.matchers.clone() })
    }

    /// A series that a recording rule of an objective writes.
    #[must_use]
    pub(super) fn recorded(&self, record: &Record, objective: &str) -> Level {
        Level(Selector { name: record.to_string(), matchers: self.matchers.clone() }).eq("slo", objective)
    }

    fn selector(&self, metric: &Metric, name: String) -> Selector {
        let pods = self.pods.as_ref().filter(|_| metric.exporter == Exporter::Worker);
        Selector { name, matchers: self.matchers.iter().chain(pods).cloned().collect() }
    }
}

impl Matcher {
    fn equal(label: &'static str, value: &str) -> Self {
        Self { label: label.into(), operator: "=", value: value.into() }
    }
}

#[derive(Clone, Debug)]
struct Selector {
    name: String,
    matchers: Vec<Matcher>,
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let matchers: Vec<_> =
            self.matchers.iter().map(|m| format!("{}{}{}", m.label, m.operator, quote(&m.value))).collect();
        if matchers.is_empty() { Ok(()) } else { write!(f, "{{{}}}", matchers.join(",")) }
    }
}

/// Series that only grow, and start again at 0 with their process.
#[derive(Clone, Debug)]
pub struct Total(Selector);

/// Series that go up and down.
#[derive(Clone, Debug)]
pub struct Level(Selector);

macro_rules! narrowed {
    ($($series:ident),*) => {$(
        impl $series {
            /// Keeps only series whose label has this value.
            #[must_use]
            pub fn eq(self, label: &'static str, value: &str) -> Self {
                self.with(label, "=", value.into())
            }

            /// Keeps only series whose label has another value.
            #[must_use]
            pub fn not(self, label: &'static str, value: &str) -> Self {
                self.with(label, "!=", value.into())
            }

            /// Keeps only series whose label has one of these values.
            #[must_use]
            pub fn one_of(self, label: &'static str, values: &[&str]) -> Self {
                self.with(label, "=~", values.iter().map(|v| literal(v)).collect::<Vec<_>>().join("|"))
            }

            /// Keeps only series whose label matches a regular expression.
            #[must_use]
            pub fn matching(self, label: &'static str, expression: &str) -> Self {
                self.with(label, "=~", expression.into())
            }

            fn with(mut self, label: &'static str, operator: &'static str, value: String) -> Self {
                self.0.matchers.push(Matcher { label: label.into(), operator, value });
                self
            }
        }

        impl From<$series> for String {
            fn from(series: $series) -> Self {
                series.to_string()
            }
        }

        impl fmt::Display for $series {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
narrowed!(Total, Level);

impl Total {
    /// Growth per second, over a window.
    #[must_use]
    pub fn rate(&self, window: &str) -> String {
        format!("rate({self}[{window}])")
    }

    /// Growth within a window.
    #[must_use]
    pub fn increase(&self, window: &str) -> String {
        format!("increase({self}[{window}])")
    }
}

impl Level {
    /// The value some time ago.
    #[must_use]
    pub fn before(&self, time: &str) -> String {
        format!("{self} offset {time}")
    }

    /// `max_over_time`, `min_over_time`, `sum_over_time` … over a window.
    #[must_use]
    pub fn over_time(&self, function: &str, window: &str) -> String {
        format!("{function}_over_time({self}[{window}])")
    }
}

/// An aggregation that leaves one value for each model.
#[must_use]
pub fn by_model(aggregation: &str, expression: impl fmt::Display) -> String {
    by(aggregation, &["namespace", "model"], expression)
}

/// An aggregation that leaves one value without labels, for a rule of one model, whose own labels name the model.
#[must_use]
pub fn all(aggregation: &str, expression: impl fmt::Display) -> String {
    format!("{aggregation}({expression})")
}

/// An aggregation that leaves one value for each combination of the labels.
#[must_use]
pub fn by(aggregation: &str, labels: &[&str], expression: impl fmt::Display) -> String {
    format!("{aggregation} by ({}) ({expression})", labels.join(", "))
}

/// A string literal of PromQL, which has the escapes of Go.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A regular expression that matches exactly this text.
fn literal(text: &str) -> String {
    text.chars().flat_map(|c| (!c.is_alphanumeric() && c != '_').then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::contract::metrics;

    #[test]
    fn a_hostile_value_stays_within_its_quotes() {
        let level =
            SeriesOf::named("a\"} or vector(1) #", "b\\").gauge(&metrics::QUEUE_DEPTH).one_of("pod", &["x.y|z"]);
        let text = level.to_string();
        assert_eq!(text, r#"inference_queue_depth{namespace="a\"} or vector(1) #",model="b\\",pod=~"x\\.y\\|z"}"#);
        assert!(promql_parser::parser::parse(&text).is_ok(), "{text}");
    }

    #[test]
    fn a_whole_bound_is_found_as_prometheus_2_and_as_prometheus_3_store_it() {
        let bucket = |bound| SeriesOf::named("a", "b").bucket(&metrics::REQUEST_DURATION, bound).to_string();
        assert!(bucket(1.0).contains(r#"le=~"1|1\\.0""#), "{}", bucket(1.0));
        assert!(bucket(0.25).contains(r#"le="0.25""#), "{}", bucket(0.25));
    }
}
