//! The text format of Prometheus, for series that are computed at each scrape.
//!
//! A registry would keep every series of every model between two scrapes, and ten thousand models have half a million.

use std::fmt::Write as _;

use belfry_crds::contract::metric::{Kind, Metric};

/// A family while its series are written.
pub(super) struct Family {
    metric: Metric,
    text: String,
}

impl Family {
    /// A family without series.
    pub(super) const fn new(metric: Metric) -> Self {
        Self { metric, text: String::new() }
    }

    /// Adds a series, with the values of its labels in the order of the contract. The same labels come once.
    pub(super) fn add(&mut self, values: &[&str], value: f64) {
        if self.text.is_empty() {
            let kind = match self.metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge | Kind::Histogram(_) => "gauge",
            };
            let Metric { name, help, .. } = self.metric;
            self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        }
        self.text.push_str(self.metric.name);
        for (index, (label, value)) in self.metric.labels.iter().zip(values).enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{}=\"", label.name));
            escape(value, &mut self.text);
            self.text.push('"');
        }
        self.write(format_args!("}} {value}\n"));
    }

    /// The family as it is exposed; nothing when it has no series.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = self.text.write_fmt(text);
    }
}

fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_crds::contract::metrics;

    #[test]
    fn a_series_is_written_as_prometheus_reads_it() {
        let mut family = Family::new(*metrics::MODEL_REPLICAS);
        family.add(&["search", "minilm", "ready"], 2.0);
        family.add(&["a\"b\\c\nd", "e", "f"], 0.5);
        let text = family.finish();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "# TYPE belfry_model_replicas gauge");
        assert_eq!(lines[2], r#"belfry_model_replicas{namespace="search",model="minilm",state="ready"} 2"#);
        assert_eq!(lines[3], r#"belfry_model_replicas{namespace="a\"b\\c\nd",model="e",state="f"} 0.5"#);
        assert!(lines[0].starts_with("# HELP belfry_model_replicas Worker replicas") && text.ends_with('\n'));
    }

    #[test]
    fn a_family_without_series_is_not_there() {
        assert_eq!(Family::new(*metrics::MODEL_REPLICAS).finish(), "");
    }
}
