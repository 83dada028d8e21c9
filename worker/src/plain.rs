//! What is wrong with JSON, in JSON's words, without those of the language that the worker is written in.

use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;

/// Most characters of a message that come from a file.
const LONGEST: usize = 240;

/// What was expected, in JSON's words.
pub fn plain(expected: &str) -> String {
    let known = match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number from 0 on",
        "i64" | "i32" | "i16" | "i8" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "unit" => "null",
        "f32" | "f64" => "a number",
        "a borrowed string" | "string or map" | "map with a single key" | "variant identifier" | "field identifier" => {
            "a string"
        }
        other if other.starts_with("struct ") => "an object",
        other if other.contains("enum ") => "one of the values that are known",
        other => {
            let size = other.rsplit_once("tuple of size ").map(|(_, size)| size);
            match size.or_else(|| other.strip_suffix(" elements in sequence")) {
                Some(size) => return format!("an array of {size}"),
                None => other,
            }
        }
    };
    known.to_owned()
}

/// What makes a text no JSON. Nothing of the text is repeated.
pub fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, place) = place(&text);
    let what = match what {
        what if what.starts_with("EOF ") => "it ends too early",
        "expected ident" => "expected true, false or null",
        "expected value" => "expected a value",
        "trailing characters" => "something follows its end",
        "trailing comma" => "a comma has nothing after it",
        "invalid unicode code point" => "a text is not UTF-8",
        "recursion limit exceeded" => "it is nested too deep",
        what if what.contains("escape") => "a text has an escape that does not exist",
        what if what.starts_with("control character ") => "a text has a control character that is not escaped",
        what => what,
    };
    place.map_or_else(|| what.to_owned(), |place| format!("{what} at line {place}"))
}

/// One line that is not long, of a text that comes from a file.
pub fn short(text: &str) -> String {
    let letters = text.chars().map(|letter| if unprinted(letter) { ' ' } else { letter });
    if text.chars().count() > LONGEST { letters.take(LONGEST).chain(['…']).collect() } else { letters.collect() }
}

/// Whether a character ends a line, or does what is not seen.
fn unprinted(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reads JSON that is not private. An error names the field, what was expected and what came, and where.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = from(&mut reader)?;
    reader.end().map_err(|error| explain("", &error))?;
    Ok(value)
}

/// The same for a part that was read before.
pub fn part<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    from(value)
}

fn from<'de, T: DeserializeOwned, D: Deserializer<'de, Error = serde_json::Error>>(from: D) -> Result<T, String> {
    serde_path_to_error::deserialize(from).map_err(|error| explain(&error.path().to_string(), error.inner()))
}

fn explain(path: &str, error: &serde_json::Error) -> String {
    if error.is_syntax() || error.is_eof() {
        return format!("it is not valid JSON: {}", syntax(error));
    }
    words(path, &error.to_string())
}

fn words(path: &str, text: &str) -> String {
    let (what, place) = place(text);
    let what = match path {
        "." | "" | "?" => short(&translated(what)),
        path => short(&format!("{path} {}", translated(what))),
    };
    place.map_or_else(|| what.clone(), |place| format!("{what} (line {place})"))
}

/// A message, and the line and column at its end.
fn place(text: &str) -> (&str, Option<&str>) {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.rsplit_once(" at line ") {
        Some((what, place))
            if place.split_once(" column ").is_some_and(|(line, column)| number(line) && number(column)) =>
        {
            (what, Some(place))
        }
        _ => (text, None),
    }
}

/// What a library says of JSON that was made here; its line and column are left out.
pub fn said(text: &str) -> String {
    short(&translated(place(text).0))
}

fn translated(what: &str) -> String {
    let (came, expected) = what.rsplit_once(", expected ").unwrap_or((what, ""));
    let after = |start: &str| came.strip_prefix(start).filter(|_| !expected.is_empty());
    if let Some(came) = after("invalid type: ").or_else(|| after("invalid value: ")).or_else(|| after("invalid ")) {
        let came = match came {
            "sequence" => "an array",
            "map" => "an object",
            "unit value" | "Option value" => "null",
            came => came,
        };
        return format!("has {came}, expected {}", plain(expected));
    }
    if let Some(name) = after("unknown variant ") {
        return format!("has {name}, expected {expected}");
    }
    if let Some(name) = came.strip_prefix("unknown field ") {
        return format!("has {name}, which is not known");
    }
    if let Some(name) = what.strip_prefix("missing field ") {
        return format!("has no {name}");
    }
    if let Some(name) = what.strip_prefix("duplicate field ") {
        return format!("has {name} twice");
    }
    if what.starts_with("data did not match ") || what.starts_with("no variant ") {
        return "has a value of no kind that is known".to_owned();
    }
    if what.starts_with("overflow computing ") {
        return "has a shape that is too large".to_owned();
    }
    if what.starts_with("The slice is slicing ") {
        return "has a tensor that does not end with a byte".to_owned();
    }
    // What types with several forms say that they are.
    if what.starts_with("a string, ") { format!("has another value, expected {what}") } else { what.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[test]
    fn an_error_names_the_field_what_was_expected_and_what_came() {
        let why = |json: &str| read::<BTreeMap<String, Vec<usize>>>(json.as_bytes()).unwrap_err();
        assert_eq!(why(r#"{"a": 5}"#), "a has integer `5`, expected an array (line 1 column 7)");
        assert_eq!(
            why(r#"{"a": [1, "b"]}"#),
            "a[1] has string \"b\", expected a whole number from 0 on (line 1 column 13)"
        );
        assert_eq!(why("[]"), "has an array, expected an object (line 1 column 0)");
        assert_eq!(why("{\"a\": "), "it is not valid JSON: it ends too early at line 1 column 6");
        assert_eq!(why("{} x"), "it is not valid JSON: something follows its end at line 1 column 4");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from JSON")]
    struct Fields {
        size: usize,
        kind: Option<Kind>,
        pair: Option<(usize, usize)>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        One,
        Two,
    }

    #[test]
    fn no_error_has_a_word_of_the_language() {
        let rows = [
            ("{}", "has no `size`"),
            (r#"{"size": 1, "size": 2}"#, "has `size` twice"),
            (r#"{"size": null}"#, "size has null, expected a whole number from 0 on"),
            (r#"{"width": 1}"#, "has `width`, which is not known"),
            (r#"{"size": 1, "kind": "Three"}"#, "has `Three`, expected `One` or `Two`"),
            (r#"{"size": 1, "pair": [1]}"#, "pair has length 1, expected an array of 2"),
            (r#"{"size": 1, "pair": 1}"#, "pair has integer `1`, expected an array of 2"),
        ];
        for (json, expected) in rows {
            let said = read::<Fields>(json.as_bytes()).unwrap_err();
            assert!(said.contains(expected), "{json}: {said}");
        }
        let value = serde_json::json!({ "size": "at line 5" });
        let said = part::<Fields>(value).unwrap_err();
        assert_eq!(said, "size has string \"at line 5\", expected a whole number from 0 on");
    }

    #[test]
    fn what_a_file_says_stays_one_short_line() {
        assert_eq!(short("a\nb\u{2028}c\u{202e}d"), "a b c d");
        let long = read::<BTreeMap<String, usize>>(format!("{{\"{}\": null}}", "é\\n".repeat(500)).as_bytes());
        let long = long.unwrap_err();
        assert!(long.chars().count() < 300 && !long.contains('\n'), "{long}");
    }
}
