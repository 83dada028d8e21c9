//! The names that a page mentions.

use std::sync::LazyLock;

use regex::Regex;

use crate::paths;

/// The kind of thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A file or a folder.
    Path,
    /// The target of a link.
    Link,
    /// A target of the Makefile.
    Target,
    /// A flag of a program.
    Flag,
    /// A series, or the beginning of several.
    Metric,
    /// An alert, or the kind that begins like one.
    Alert,
    /// A field of an InferenceModel or a value of a chart.
    Field,
}

impl Kind {
    pub(crate) const ALL: &[Self] =
        &[Self::Path, Self::Link, Self::Target, Self::Flag, Self::Metric, Self::Alert, Self::Field];
}

/// A name in a page.
pub(crate) struct Mention {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// For a flag, the program that takes it, if the page says so.
    pub(crate) program: Option<String>,
    pub(crate) line: usize,
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).unwrap());
    };
}
pattern!(LINK, r"\]\(([^)\s]+)\)");
pattern!(SPAN, r"`([^`]+)`");
pattern!(METRIC, r"\b(?:inference|belfry_operator|belfry_model)_[a-z0-9_]*");
pattern!(ALERT, r"\bInference[A-Z][A-Za-z]*\b");
pattern!(FIELD, r"\b(?:spec|status)(?:\.[A-Za-z][A-Za-z0-9]*)+");
pattern!(SHORT_FIELD, r"^([a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)+)(?:[=:].*)?$");
pattern!(FLAG, r"^--[a-z][a-z0-9-]*");
pattern!(QUOTED_ASSIGNMENT, r#"\b[A-Z_]+="[^"]*""#);

/// Every name that a page mentions, in no order.
pub(crate) fn of(text: &str) -> Vec<Mention> {
    let mut found = vec![];
    let mut block = None::<String>;
    let mut command = String::new();
    for (index, line) in text.lines().enumerate() {
        let mut add = |kind, name: &str, program: Option<&str>| {
            let (name, program) = (name.to_owned(), program.map(str::to_owned));
            found.push(Mention { kind, name, program, line: index + 1 });
        };
        words(line, &mut add);
        if line.trim_start().starts_with("```") {
            block = match block {
                Some(_) => None,
                None => Some(line.trim().trim_matches('`').to_owned()),
            };
        } else if let Some(language) = &block {
            if language == "promql" {
                continue;
            }
            command += line.trim().trim_start_matches("$ ");
            if command.ends_with('\\') {
                command = command.trim_end_matches('\\').to_owned();
                continue;
            }
            commands(&std::mem::take(&mut command), &mut add);
        } else {
            for span in SPAN.captures_iter(line) {
                commands(&span[1], &mut add);
                if let Some(field) = SHORT_FIELD.captures(&span[1]) {
                    short_field(&field[1], &mut add);
                }
            }
        }
    }
    found
}

/// Names that are recognized wherever they stand.
fn words(line: &str, add: &mut impl FnMut(Kind, &str, Option<&str>)) {
    for link in LINK.captures_iter(line) {
        if !link[1].contains("://") && !link[1].starts_with("mailto:") {
            add(Kind::Link, &link[1], None);
        }
    }
    let line = LINK.replace_all(line, "](…)");
    paths::of(&line).iter().for_each(|path| add(Kind::Path, path, None));
    // A part of a path, of an address or of a recorded series is not a name of its own.
    let stands_alone = |found: &regex::Match<'_>| {
        let (before, after) = (&line[..found.start()], &line[found.end()..]);
        let goes_on =
            after.starts_with('/') || after.starts_with(':') && !after[1..].is_empty() && !after.starts_with(": ");
        !before.ends_with(['/', '.', ':']) && !goes_on
    };
    METRIC.find_iter(&line).filter(stands_alone).for_each(|name| add(Kind::Metric, name.as_str(), None));
    ALERT.find_iter(&line).filter(stands_alone).for_each(|name| add(Kind::Alert, name.as_str(), None));
    for field in FIELD.find_iter(&line).filter(|field| !line[..field.start()].ends_with('/')) {
        if !paths::is_file_name(field.as_str()) {
            add(Kind::Field, field.as_str(), None);
        }
    }
}

fn short_field(name: &str, add: &mut impl FnMut(Kind, &str, Option<&str>)) {
    let is_domain = [".io", ".com", ".dev"].iter().any(|end| name.ends_with(end));
    if !name.starts_with("spec.") && !name.starts_with("status.") && !paths::is_file_name(name) && !is_domain {
        add(Kind::Field, name, None);
    }
}

/// Targets and flags in a line of a shell.
fn commands(line: &str, add: &mut impl FnMut(Kind, &str, Option<&str>)) {
    let line = QUOTED_ASSIGNMENT.replace_all(line, "X=x");
    let line = line.split(" #").next().unwrap_or_default();
    for command in line.split(['|', ';']).flat_map(|part| part.split("&&")) {
        let mut words =
            command.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-')).peekable();
        let mut program = words.next_if(|word| !word.starts_with('-')).map(str::to_owned);
        if program.as_deref() == Some("make") {
            let is_target = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains('=');
            words.take_while(is_target).for_each(|target| add(Kind::Target, target, None));
            continue;
        }
        let mut package = None;
        while let Some(word) = words.next() {
            if program.as_deref() == Some("cargo") && matches!(word, "-p" | "--package") {
                package = words.peek().map(|name| (*name).to_owned());
            }
            // The arguments after it are for the program that cargo runs.
            if word == "--" {
                program = package.take();
            } else if let Some(flag) = FLAG.find(word) {
                add(Kind::Flag, flag.as_str(), program.as_deref());
            }
        }
    }
}
