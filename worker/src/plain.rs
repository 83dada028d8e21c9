//! JSON errors in JSON's words, without those of the language that the worker is written in.

use serde::de::DeserializeOwned;

/// What was expected, in JSON's words.
pub fn plain(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" => "a whole number from 0 on",
        "i64" | "i32" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// Reads JSON that is not private. An error names the field, what was expected and what came, and where.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, inner) = (error.path().to_string(), error.inner());
    let text = inner.to_string();
    if inner.is_syntax() || inner.is_eof() {
        return text;
    }
    let (what, place) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let what = match what.rsplit_once(", expected ") {
        Some((came, expected)) => {
            let came = came.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
            let came = came.replacen("sequence", "an array", 1).replacen("map", "an object", 1);
            format!("has {came}, expected {}", plain(expected))
        }
        None => what.to_owned(),
    };
    let place = if place.is_empty() { String::new() } else { format!(" (line {place})") };
    match path.as_str() {
        "." | "" | "?" => format!("{what}{place}"),
        path => format!("{path} {what}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_error_names_the_field_what_was_expected_and_what_came() {
        let said = |json: &str| read::<BTreeMap<String, Vec<usize>>>(json.as_bytes()).unwrap_err();
        assert_eq!(said(r#"{"a": 5}"#), "a has integer `5`, expected an array (line 1 column 7)");
        assert_eq!(
            said(r#"{"a": [1, "b"]}"#),
            "a[1] has string \"b\", expected a whole number from 0 on (line 1 column 13)"
        );
        assert_eq!(said("[]"), "has an array, expected an object (line 1 column 0)");
        assert_eq!(said("{\"a\": "), "EOF while parsing a value at line 1 column 6");
        assert_eq!(said("{} x"), "trailing characters at line 1 column 4");
    }
}
