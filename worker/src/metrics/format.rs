//! Which text a scrape gets, by its `Accept` header (<https://www.rfc-editor.org/rfc/rfc9110#field.accept>).

use axum::http::{HeaderMap, header};

/// A text of the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own, version 0.0.4.
    #[default]
    Plain,
    /// OpenMetrics 1.0.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// OpenMetrics for a caller that names it and likes nothing better; else the plain text, which a caller gets also where it takes neither.
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = values.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
        let open = ranges.iter().filter(|range| range.is_open_metrics()).map(|range| range.weight).fold(0.0, f64::max);
        // The range that says most about the plain text counts.
        let plain = ranges.iter().filter_map(|range| Some((range.says_of_plain()?, range.weight)));
        let plain = plain.reduce(|a, b| if (b.0, b.1) > (a.0, a.1) { b } else { a }).map_or(0.0, |(_, weight)| weight);
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Plain }
    }
}

/// One of the types that a caller takes.
struct Range<'a> {
    kind: &'a str,
    version: Option<&'a str>,
    /// From 0, for a type that the caller does not take, to 1.
    weight: f64,
}

impl<'a> Range<'a> {
    /// `None` for one that can't be read.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self { kind: parts.next().filter(|kind| kind.contains('/'))?, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value.trim().trim_matches('"')),
                "q" => range.weight = value.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?,
                _ => {}
            }
        }
        Some(range)
    }

    fn is_open_metrics(&self) -> bool {
        self.kind.eq_ignore_ascii_case("application/openmetrics-text") && matches!(self.version, None | Some("1.0.0"))
    }

    /// How much it says about the plain text; `None` if it is about something else.
    fn says_of_plain(&self) -> Option<u8> {
        match (self.kind.to_ascii_lowercase().as_str(), self.version) {
            ("text/plain", Some("0.0.4")) => Some(3),
            ("text/plain", None) => Some(2),
            ("text/*", _) => Some(1),
            ("*/*", _) => Some(0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn format(values: &[&str]) -> Format {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Format::of(&headers)
    }

    #[test]
    fn prometheus_gets_open_metrics() {
        // What 3.5 sends, what it sends with `scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]`, and what 2.40 sends.
        let new = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3";
        assert_eq!(format(&[new]), Format::OpenMetrics);
        let plain_first = "text/plain;version=0.0.4;q=0.4,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.3,*/*;q=0.2";
        assert_eq!(format(&[plain_first]), Format::Plain);
        let old = "application/openmetrics-text; version=1.0.0,application/openmetrics-text; version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(format(&[old]), Format::OpenMetrics);
    }

    #[test]
    fn who_does_not_name_it_or_likes_the_plain_text_better_gets_that() {
        for accepted in [
            &[][..],
            &["*/*"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["application/json"],
            &["application/openmetrics-text;version=0.0.1"],
            &["application/openmetrics-text;version=2.0.0"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=0.5", "text/plain"],
            &["application/openmetrics-text;q=0.5, */*;q=0.6"],
            &["application/openmetrics-text;q=none"],
            &["application/openmetrics-text;q=NaN"],
            &["", ",;=,q=1"],
        ] {
            assert_eq!(format(accepted), Format::Plain, "{accepted:?}");
        }
        for accepted in [
            &["application/openmetrics-text"][..],
            &["Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.3"],
            &["text/plain;q=0.5", "application/openmetrics-text"],
            &["application/openmetrics-text;q=0.5, text/plain;version=0.0.4;q=0.4, */*"],
        ] {
            assert_eq!(format(accepted), Format::OpenMetrics, "{accepted:?}");
        }
    }
}
