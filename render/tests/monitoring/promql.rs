//! The series that an expression reads, from its syntax tree.

use std::collections::BTreeMap;

use belfry_crds::contract::metric::{Exporter, Kind, Label, Values};
use belfry_crds::contract::metrics;
use belfry_render::engine::coverage;
use promql_parser::label::MatchOp;
use promql_parser::parser::{self, VectorSelector};

/// Series that may be read, with their known labels; `None` for series of Prometheus and of rules.
#[derive(Clone, Default)]
pub(crate) struct Sources(BTreeMap<String, Option<Vec<Label>>>);

/// Labels that targets and rules add.
const TARGET_LABELS: &[&str] = &["namespace", "model", "pod", "job", "le"];

impl Sources {
    pub(crate) fn contract() -> Self {
        Self::matching(|_| true)
    }

    pub(crate) fn of(exporter: Exporter) -> Self {
        Self::matching(|candidate| candidate == exporter)
    }

    pub(crate) fn and(mut self, exporter: Exporter) -> Self {
        self.0.extend(Self::of(exporter).0);
        self
    }

    fn matching(belongs: impl Fn(Exporter) -> bool) -> Self {
        let mut series = BTreeMap::new();
        for metric in metrics::ALL.iter().filter(|metric| belongs(metric.exporter)) {
            let suffixes: &[&str] =
                if matches!(metric.kind, Kind::Histogram(_)) { &["_bucket", "_sum", "_count"] } else { &[""] };
            for suffix in suffixes {
                series.insert(format!("{}{suffix}", metric.name), Some(metric.labels.to_vec()));
            }
        }
        Self(series)
    }

    pub(crate) fn prometheus(mut self) -> Self {
        const OWN: [&str; 7] = [
            "up",
            "ALERTS",
            "scrape_duration_seconds",
            "scrape_samples_scraped",
            "prometheus_notifications_errors_total",
            "prometheus_notifications_alertmanagers_discovered",
            "alertmanager_notifications_failed_total",
        ];
        self.0.extend(OWN.map(|name| (name.to_owned(), None)));
        self
    }

    pub(crate) fn recorded(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.0.extend(names.into_iter().map(|name| (name, None)));
        self
    }
}

/// Every selector of an expression.
pub(crate) fn selectors(expression: &str) -> Vec<VectorSelector> {
    let tree = parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    coverage::selectors(&tree).into_iter().cloned().collect()
}

/// The expression parses, and reads only those series, their labels, and values that these can take.
pub(crate) fn check(expression: &str, sources: &Sources) {
    for selector in selectors(expression) {
        let name = selector.name.clone().unwrap_or_else(|| panic!("{expression}: a selector without a name"));
        let labels = sources.0.get(&name).unwrap_or_else(|| panic!("{expression}: no exporter has {name}"));
        let Some(labels) = labels else { continue };
        for matcher in &selector.matchers.matchers {
            let label = labels.iter().find(|label| label.name == matcher.name);
            let known = label.is_some() || TARGET_LABELS.contains(&matcher.name.as_str());
            assert!(known, "{expression}: {name} has no label {}", matcher.name);
            if let Some(Values::Closed(values)) = label.map(|label| label.values) {
                let finds = |value: &&&str| match &matcher.op {
                    MatchOp::Equal => matcher.value == **value,
                    // What is excluded has to exist, or the matcher does nothing. Without a value it asks for the label.
                    MatchOp::NotEqual => matcher.value == **value || matcher.value.is_empty(),
                    MatchOp::Re(regex) => regex.find(value).is_some_and(|found| found.len() == value.len()),
                    other => panic!("{expression}: {other:?} is not used"),
                };
                assert!(values.iter().any(|value| finds(&value)), "{expression}: {} never matches", matcher.name);
            }
        }
    }
}
