//! The trace that a caller has begun, by the headers of W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// The span of the caller; `None` without a valid `traceparent`, as the standard wants it. A `tracestate` that is not valid is left out.
#[must_use]
pub fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(PARENT).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let mut parts = value.to_str().ok()?.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may have more parts.
    let is_whole = parts.next().is_none() || version != "00";
    if !(is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && is_whole)
    {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, parent) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(parent).ok()?);
    Some(SpanContext::new(trace, parent, flags, true, state(headers))).filter(SpanContext::is_valid)
}

/// The id of the caller's trace, for the log.
#[must_use]
pub fn trace_id(headers: &HeaderMap) -> Option<String> {
    parent(headers).map(|span| span.trace_id().to_string())
}

fn state(headers: &HeaderMap) -> TraceState {
    let values: Option<Vec<&str>> = headers.get_all(STATE).iter().map(|value| value.to_str().ok()).collect();
    values.and_then(|values| values.join(",").parse().ok()).unwrap_or_default()
}

/// A span as the header has it.
#[must_use]
pub fn traceparent(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(values: &[&str], states: &[&str]) -> Option<SpanContext> {
        let mut all = HeaderMap::new();
        for (name, values) in [(PARENT, values), (STATE, states)] {
            for value in values {
                all.append(&name, HeaderValue::from_str(value).unwrap());
            }
        }
        parent(&all)
    }

    #[test]
    fn the_span_of_a_valid_header_is_known() {
        let span = read(&[GOOD], &[]).unwrap();
        assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert!(span.is_sampled() && span.is_remote());
        assert_eq!(traceparent(&span), GOOD, "it is handed on as it came");
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-brings";
        assert!(!read(&[later], &[]).unwrap().is_sampled());
    }

    #[test]
    fn the_state_of_the_trace_is_kept_in_its_order() {
        let state = |states: &[&str]| read(&[GOOD], states).unwrap().trace_state().header();
        assert_eq!(state(&["vendor=a,other=b"]), "vendor=a,other=b");
        assert_eq!(state(&["vendor=a", "other=b"]), "vendor=a,other=b", "two headers are one list");
        assert_eq!(state(&["not a state"]), "", "the trace goes on without it");
        assert_eq!(read(&[], &["vendor=a"]), None, "there is no state without a parent");
    }

    #[test]
    fn what_the_standard_calls_invalid_is_no_trace() {
        assert_eq!(read(&[], &[]), None);
        assert_eq!(read(&[GOOD, GOOD], &[]), None, "two headers");
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(read(&[bad], &[]), None, "{bad:?}");
        }
    }
}
