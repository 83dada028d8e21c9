//! A log line as JSON: timestamp, level, logger, message, and then the event's own fields.

use std::error::Error;
use std::fmt;

use parking_lot::RwLock;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What is said on every line.
static ALWAYS: RwLock<Vec<(&'static str, Value)>> = RwLock::new(vec![]);

/// Says something of every JSON line from now on: the model of a worker, for one. An event with a field of that name says it itself.
pub fn always(name: &'static str, value: &str) {
    let mut always = ALWAYS.write();
    always.retain(|(known, _)| *known != name);
    always.push((name, Value::from(value)));
}

/// Writes an event as one JSON object on one line. Names that Loki and other collectors know: `timestamp` (RFC 3339, UTC), `level`, `logger`
/// (the module, with dots) and `message` come first.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines;

/// The line of an error of a program that logs nothing else, without its end.
#[must_use]
pub fn error_line(logger: &str, message: &str) -> String {
    let mut line = String::new();
    // Writing into a string never fails.
    let _ = head(&mut Writer::new(&mut line), ("ERROR", logger), message);
    line + "}"
}

fn head(writer: &mut Writer<'_>, (level, logger): (&str, &str), message: &str) -> fmt::Result {
    writer.write_str("{\"timestamp\":\"")?;
    SystemTime.format_time(writer)?;
    write!(writer, "\",\"level\":\"{level}\",\"logger\":{},\"message\":{}", Value::from(logger), Value::from(message))
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let (level, logger) = (metadata.level().as_str(), metadata.target().replace("::", "."));
        head(&mut writer, (level, &logger), &fields.message)?;
        for (name, value) in ALWAYS.read().iter() {
            if fields.rest.iter().all(|(own, _)| own != name) {
                write!(writer, ",\"{name}\":{value}")?;
            }
        }
        for (name, value) in fields.rest {
            write!(writer, ",{}:{value}", Value::from(name))?;
        }
        writeln!(writer, "}}")
    }
}

/// The fields of an event. Values keep their types.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        // What the crate log knows of an event is in its metadata, but for paths of the machine that built it.
        if field.name().starts_with("log.") {
            return;
        }
        // `r#type` is the field `type`.
        self.rest.push((field.name().trim_start_matches("r#"), value));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is not finite.
        self.add(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.add(field, Value::from(value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let (mut words, mut cause) = (value.to_string(), value.source());
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        self.add(field, Value::from(words));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.add(field, Value::from(format!("{value:?}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are written meanwhile.
    fn lines(log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let to = written.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || to.clone()).event_format(JsonLines).finish();
        tracing::subscriber::with_default(lines, log);
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_one_object_with_the_types_that_were_given() {
        let cause = io::Error::other("the disk is full");
        let lines = lines(|| {
            tracing::info!(
                request_id = "abc\"1",
                latency_ms = 45.2,
                batch_size = 16_u64,
                is_last = true,
                error = &cause as &(dyn Error + 'static),
                place = ?("a", 1),
                none = f64::NAN,
                "Two\nlines of {}",
                "text"
            );
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let head = lines[0].split_once("\"message\"").unwrap().0;
        assert!(
            head.starts_with("{\"timestamp\":\"20")
                && head.ends_with("Z\",\"level\":\"INFO\",\"logger\":\"belfry_logs.line.tests\",")
        );
        let mut line: Value = serde_json::from_str(&lines[0]).unwrap();
        line.as_object_mut().unwrap().retain(|name, _| !["timestamp", "level", "logger"].contains(&name.as_str()));
        let expected = json!({
            "message": "Two\nlines of text", "request_id": "abc\"1", "latency_ms": 45.2, "batch_size": 16, "is_last": true,
            "error": "the disk is full", "place": "(\"a\", 1)", "none": null,
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(line[name], *value, "{name}");
        }
    }

    #[test]
    fn an_error_alone_is_a_line_of_the_same_form() {
        let line = error_line("belfry", "no \"such\" file");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["level"], &line["logger"], &line["message"]),
            (&json!("ERROR"), &json!("belfry"), &json!("no \"such\" file"))
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn what_is_always_said_gives_way_to_an_events_own_field() {
        always("colour", "green");
        always("colour", "blue");
        let lines = lines(|| {
            tracing::warn!("one");
            tracing::warn!(colour = "red", "two");
        });
        let colours = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["colour"].clone());
        assert_eq!(colours.collect::<Vec<_>>(), ["blue", "red"]);
        assert_eq!(lines[1].matches("colour").count(), 1);
    }
}
