//! Log lines of Belfry's programs: one line an event, as text or as JSON, on standard output.
//!
//! A line is handed to a thread that writes it. Who logs never waits: when a reader of standard output is too slow, lines are dropped and
//! counted. So the last lines of a process that is killed may be lost; one that ends by itself calls [`end`].

mod line;
mod sampler;

use std::io::IsTerminal;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub use line::{JsonLines, always, error_line};
pub use sampler::Sampler;

/// Lines that wait to be written. A line is a few hundred bytes.
const WAITING: usize = 8192;

/// Longest wait of a program that ends for its last lines to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to log, and how.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// A level, or a filter such as `belfry_worker=debug`.
    pub filter: &'a str,
    /// Everything of this program besides: its name as it stands in `logger`, such as `belfry_worker`.
    pub verbose: Option<&'static str>,
    /// One JSON object a line, in place of text.
    pub json: bool,
}

struct Writer {
    /// Writes what waits when it is dropped.
    guard: WorkerGuard,
    dropped: ErrorCounter,
}

static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

/// Starts to log, for the whole process.
///
/// # Errors
/// The filter can't be read, or logs were started before. The text says which.
pub fn start(options: &Options<'_>) -> Result<(), String> {
    let filter = filter(options)?;
    let stdout = std::io::stdout();
    let is_terminal = stdout.is_terminal();
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING).thread_name("logs");
    let (writer, guard) = builder.finish(stdout);
    let dropped = writer.error_counter();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = if options.json {
        lines.event_format(JsonLines).try_init()
    } else {
        // https://no-color.org
        let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        lines.with_ansi(has_colours).with_target(false).try_init()
    };
    started.map_err(|error| format!("logs can't be started: {error}"))?;
    *WRITER.lock() = Some(Writer { guard, dropped });
    Ok(())
}

/// Libraries that log what passes through them, at a level below this: texts of requests, tokens, signed addresses.
const DISCREET: &[&str] = &["tokenizers", "ureq", "ureq_proto", "tungstenite", "rustls"];

fn filter(options: &Options<'_>) -> Result<EnvFilter, String> {
    let given = options.filter;
    let unread = |why: &str| {
        format!("the log filter {given:?} can't be read ({why}); write a level such as debug, or belfry_worker=debug")
    };
    let mut parts = vec![];
    for part in given.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((target, level)) = part.split_once('=').filter(|_| !part.contains('[')) else {
            // A word that is no level would name a target, and silence all others.
            if !part.contains('[') && part.parse::<LevelFilter>().is_err() {
                return Err(unread(&format!("{part} is no level")));
            }
            parts.push(part.to_owned());
            continue;
        };
        // As a line has it, with dots, or as a package is called.
        let target = target.replace('.', "::").replace('-', "_");
        if !DISCREET.contains(&target.split("::").next().unwrap_or_default()) {
            parts.push(format!("{target}={level}"));
        }
    }
    if parts.is_empty() {
        parts.push("info".to_owned());
    }
    parts.extend(options.verbose.map(|program| format!("{program}=debug")));
    parts.extend(DISCREET.iter().map(|library| format!("{library}=warn")));
    EnvFilter::try_new(parts.join(",")).map_err(|error| unread(&error.to_string()))
}

/// Reads a switch as a variable has it: empty is off.
///
/// # Errors
/// It is another word than those for on and off.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "" | "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// Lines that were dropped, because nothing took them from standard output in time.
#[must_use]
pub fn dropped_lines() -> usize {
    WRITER.lock().as_ref().map_or(0, |writer| writer.dropped.dropped_lines())
}

/// Writes what waits, for two seconds at most. What is logged later is lost.
pub fn end() {
    let Some(Writer { guard, .. }) = WRITER.lock().take() else { return };
    let (say, said) = channel();
    // Where nothing takes what is written, the library would say so on standard output, and wait there for ever.
    thread::spawn(move || {
        drop(guard);
        // Who ends may not have waited.
        let _ = say.send(());
    });
    let _ = said.recv_timeout(PATIENCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_can_not_be_read_is_an_error_that_says_what_to_write() {
        let of = |text| filter(&Options { filter: text, verbose: None, json: false });
        for good in ["info", "", "belfry_worker=debug", "warn,belfry_operator::apply=trace", "off", "[span{a=b}]=info"]
        {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in ["belfry_worker=loud", "inof", "belfry_worker"] {
            let error = of(bad).unwrap_err();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("such as debug"), "{error}");
        }
    }

    #[test]
    fn a_target_may_be_written_as_lines_have_it() {
        let read = |text| filter(&Options { filter: text, verbose: None, json: false }).unwrap().to_string();
        assert_eq!(read("belfry_worker.http=debug"), read("belfry_worker::http=debug"));
        assert_eq!(read("belfry-worker=debug"), read("belfry_worker=debug"));
        assert_eq!(read(""), read("info"));
    }

    #[test]
    fn no_level_makes_a_library_say_what_passes_through_it() {
        for text in ["trace", "trace,tokenizers=trace", "info,ureq_proto=debug", "tokenizers::tokenizer=trace"] {
            let filter = filter(&Options { filter: text, verbose: None, json: false }).unwrap().to_string();
            for library in DISCREET {
                assert!(filter.contains(&format!("{library}=warn")), "{filter}");
                assert_eq!(filter.matches(library).count(), if *library == "ureq" { 2 } else { 1 }, "{filter}");
            }
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        for (text, value) in [("", false), ("0", false), ("False", false), ("1", true), ("true", true), ("ON", true)] {
            assert_eq!(switch(text), Ok(value), "{text:?}");
        }
        assert!(switch("maybe").is_err());
    }

    #[test]
    fn verbose_adds_one_program_to_what_is_logged() {
        let verbose = filter(&Options { filter: "warn", verbose: Some("belfry_worker"), json: false }).unwrap();
        assert!(verbose.to_string().contains("belfry_worker=debug"), "{verbose}");
    }
}
