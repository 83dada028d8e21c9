//! A family made from values that were read just now.

use std::collections::HashMap;

use belfry_crds::contract::metric::{Kind, Metric};
use prometheus::core::Desc;
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::labels;

/// How a collector describes a metric.
pub(super) fn description(metric: &Metric) -> Result<Desc, prometheus::Error> {
    let labels = labels(metric).into_iter().map(str::to_owned).collect();
    Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
}

/// The family of a metric with one label at most: values of the label, and values of the series.
pub(super) fn family(metric: &Metric, series: Vec<(&str, f64)>) -> MetricFamily {
    labelled(metric, series.into_iter().map(|(label, value)| (vec![label.to_owned()], value)).collect())
}

/// The family of a metric with any number of labels: their values in the contract's order, and values of the series. Values beyond its
/// labels are left out.
pub(super) fn labelled(metric: &Metric, series: Vec<(Vec<String>, f64)>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    let is_counter = metric.kind == Kind::Counter;
    family.set_field_type(if is_counter { MetricType::COUNTER } else { MetricType::GAUGE });
    family.set_metric(series.into_iter().map(|(labels, value)| one(metric, labels, value)).collect());
    family
}

fn one(metric: &Metric, values: Vec<String>, value: f64) -> proto::Metric {
    let mut one = proto::Metric::default();
    let pair = |(name, value): (&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    one.set_label(labels(metric).into_iter().zip(values).map(pair).collect());
    if metric.kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        one.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        one.set_gauge(gauge);
    }
    one
}
