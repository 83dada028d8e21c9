//! OpenMetrics 1.0.0 as text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), which carries exemplars. The crate
//! `prometheus` writes only the older format.

use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

use belfry_crds::contract::metric;
use belfry_crds::contract::metrics as contract;
use prometheus::proto::{Histogram, LabelPair, MetricFamily, MetricType};

use super::exemplars::{Exemplar, Exemplars};

/// The content type of the text.
pub(super) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Units that end the names of metrics.
const UNITS: &[&str] = &["seconds", "bytes", "ratio", "celsius", "watts", "hertz"];

/// Writes every family, and the exemplars of [`contract::REQUEST_DURATION`].
pub(super) fn encode(families: &[MetricFamily], exemplars: &Exemplars) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(64 * 1024);
    for family in families {
        encode_family(&mut text, family, exemplars)?;
    }
    text.push_str("# EOF\n");
    Ok(text)
}

fn encode_family(text: &mut String, family: &MetricFamily, exemplars: &Exemplars) -> fmt::Result {
    let full = family.name();
    // The name of a counter's family is that of its sample without the suffix.
    let (name, kind) = match (family.get_field_type(), full.strip_suffix("_total")) {
        (MetricType::COUNTER, Some(name)) => (name, "counter"),
        (MetricType::GAUGE, None) => (full, "gauge"),
        (MetricType::HISTOGRAM, None) => (full, "histogram"),
        // Another name would break the rules that read it.
        _ => (full, "unknown"),
    };
    writeln!(text, "# TYPE {name} {kind}")?;
    let ends_with = |unit: &&&str| name.strip_suffix(**unit).is_some_and(|rest| rest.ends_with('_'));
    if let Some(unit) = UNITS.iter().find(ends_with) {
        writeln!(text, "# UNIT {name} {unit}")?;
    }
    write!(text, "# HELP {name} ")?;
    escape(text, family.help());
    text.push('\n');
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match family.get_field_type() {
            MetricType::COUNTER => sample(text, full, labels, metric.get_counter().get_value())?,
            MetricType::HISTOGRAM => encode_histogram(text, full, (labels, metric.get_histogram()), exemplars)?,
            // No metric of ours is a summary.
            _ => sample(text, full, labels, metric.get_gauge().get_value())?,
        }
    }
    Ok(())
}

fn encode_histogram(
    text: &mut String,
    name: &str,
    (labels, histogram): (&[LabelPair], &Histogram),
    exemplars: &Exemplars,
) -> fmt::Result {
    let phase = labels.iter().find(|label| label.name() == "phase").filter(|_| name == contract::REQUEST_DURATION.name);
    let exemplars = phase.and_then(|phase| exemplars.of_phase(phase.value()));
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let finite = finite.map(|bucket| (metric::Histogram::le(bucket.upper_bound()), bucket.cumulative_count()));
    let all = finite.chain([("+Inf".to_owned(), histogram.get_sample_count())]);
    for (index, (le, count)) in all.enumerate() {
        write!(text, "{name}_bucket{{")?;
        for label in labels {
            encode_label(text, label)?;
            text.push(',');
        }
        write!(text, "le=\"{le}\"}} {count}")?;
        if let Some(exemplar) = exemplars.and_then(|of| of.get(index).copied().flatten()) {
            encode_exemplar(text, &exemplar)?;
        }
        text.push('\n');
    }
    sample(text, &format!("{name}_count"), labels, histogram.get_sample_count() as f64)?;
    sample(text, &format!("{name}_sum"), labels, histogram.get_sample_sum())
}

fn encode_exemplar(text: &mut String, exemplar: &Exemplar) -> fmt::Result {
    write!(text, " # {{trace_id=\"{}\"", exemplar.of.trace_id)?;
    if let Some(span_id) = exemplar.of.span_id {
        write!(text, ",span_id=\"{span_id}\"")?;
    }
    let seconds = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    write!(text, "}} {} {seconds:.3}", exemplar.value)
}

fn sample(text: &mut String, name: &str, labels: &[LabelPair], value: f64) -> fmt::Result {
    text.push_str(name);
    for (index, label) in labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        encode_label(text, label)?;
    }
    if !labels.is_empty() {
        text.push('}');
    }
    match value {
        f64::INFINITY => text.push_str(" +Inf\n"),
        f64::NEG_INFINITY => text.push_str(" -Inf\n"),
        // It writes a number without an exponent, and NaN as the format wants it.
        _ => writeln!(text, " {value}")?,
    }
    Ok(())
}

fn encode_label(text: &mut String, label: &LabelPair) -> fmt::Result {
    write!(text, "{}=\"", label.name())?;
    escape(text, label.value());
    text.push('"');
    Ok(())
}

fn escape(text: &mut String, plain: &str) {
    for character in plain.chars() {
        match character {
            '\\' => text.push_str(r"\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str(r"\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use belfry_traces::{SpanId, TraceId};
    use prometheus::{Counter, Gauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

    use super::*;
    use crate::metrics::exemplars::Sampled;

    fn families(collector: impl prometheus::core::Collector + 'static) -> Vec<MetricFamily> {
        let registry = Registry::new();
        registry.register(Box::new(collector)).unwrap();
        registry.gather()
    }

    fn text(collector: impl prometheus::core::Collector + 'static) -> String {
        encode(&families(collector), &Exemplars::default()).unwrap()
    }

    #[test]
    fn a_counter_has_its_suffix_on_the_sample_alone_and_its_unit_before_it() {
        let counter = Counter::new("busy_seconds_total", "Says \"a\\b\",\nand more.").unwrap();
        counter.inc_by(0.5);
        let expected = "# TYPE busy_seconds counter\n# UNIT busy_seconds seconds\n# HELP busy_seconds Says \\\"a\\\\b\\\",\\nand more.\nbusy_seconds_total 0.5\n# EOF\n";
        assert_eq!(text(counter), expected);
    }

    #[test]
    fn what_the_format_has_no_kind_for_keeps_its_name() {
        let kind = |text: String| text.lines().next().unwrap().to_owned();
        assert_eq!(kind(text(Counter::new("count", "h").unwrap())), "# TYPE count unknown");
        assert_eq!(kind(text(Gauge::new("odd_total", "h").unwrap())), "# TYPE odd_total unknown");
    }

    #[test]
    fn labels_are_escaped_and_numbers_that_are_none_are_spelled_as_the_format_wants() {
        let counters = IntCounterVec::new(Opts::new("a_total", "h"), &["x", "y"]).unwrap();
        counters.with_label_values(&["1\\2", "\"\n"]).inc();
        assert!(text(counters).contains("\na_total{x=\"1\\\\2\",y=\"\\\"\\n\"} 1\n"));
        for (value, spelled) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (-1e21, "-1000000000000000000000"),
        ] {
            let gauge = Gauge::new("g", "h").unwrap();
            gauge.set(value);
            assert!(text(gauge).ends_with(&format!("\ng {spelled}\n# EOF\n")), "{spelled}");
        }
    }

    #[test]
    fn a_bound_has_a_decimal_point_and_a_bucket_its_exemplar() {
        let opts = HistogramOpts::new(contract::REQUEST_DURATION.name, "h")
            .buckets(belfry_crds::contract::DURATION_BUCKETS.to_vec());
        let histogram = HistogramVec::new(opts, &["phase"]).unwrap();
        let exemplars = Exemplars::default();
        for (id, value) in [(0xab, 0.6), (1, 99.0)] {
            histogram.with_label_values(&["total"]).observe(value);
            let span_id = (id == 1).then(|| SpanId::from(2));
            exemplars.keep("total", Sampled { trace_id: TraceId::from(id), span_id }, value);
        }
        let text = encode(&families(histogram), &exemplars).unwrap();
        let lines: Vec<_> =
            text.lines().map(|line| line.trim_start_matches("inference_request_duration_seconds")).collect();
        assert_eq!(lines[10], r#"_bucket{phase="total",le="0.5"} 0"#);
        // Beyond here stands the time of the exemplar.
        let since = lines[11]
            .strip_prefix(r#"_bucket{phase="total",le="1.0"} 1 # {trace_id="000000000000000000000000000000ab"} 0.6 "#)
            .unwrap();
        let age = UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - since.parse::<f64>().unwrap();
        assert!(age.abs() < Duration::from_mins(1).as_secs_f64(), "{age} s");
        assert_eq!(lines[12], r#"_bucket{phase="total",le="2.5"} 1"#);
        assert!(lines[16].starts_with(r#"_bucket{phase="total",le="+Inf"} 2 # {trace_id="00000000000000000000000000000001",span_id="0000000000000002"} 99 "#), "{}", lines[16]);
        assert_eq!(lines[17..], [r#"_count{phase="total"} 2"#, r#"_sum{phase="total"} 99.6"#, "# EOF"]);
    }
}
