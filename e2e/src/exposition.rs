//! What a process exposes to Prometheus, as text.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

/// Families and their series, without values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exposition {
    /// Type of each family by its name.
    pub types: BTreeMap<String, String>,
    /// Names of series, each with the names of its labels.
    pub series: BTreeSet<(String, Vec<String>)>,
}

impl Exposition {
    /// Reads a text exposition.
    pub fn read(text: &str) -> Result<Self> {
        let mut found = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some((name, type_)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                found.types.insert(name.to_owned(), type_.to_owned());
            } else if !line.starts_with('#') {
                found.series.insert(series(line).with_context(|| format!("no series: {line}"))?);
            }
        }
        Ok(found)
    }

    /// What is only here.
    pub fn beyond<'a>(&'a self, other: &'a Self) -> Vec<String> {
        let types = self.types.iter().filter(|(name, type_)| other.types.get(*name) != Some(type_));
        let types = types.map(|(name, type_)| format!("{type_} {name}"));
        let series =
            self.series.difference(&other.series).map(|(name, labels)| format!("{name}{{{}}}", labels.join(",")));
        types.chain(series).collect()
    }
}

fn series(line: &str) -> Result<(String, Vec<String>)> {
    let (name, rest) = line.split_at(line.find(['{', ' ']).context("no value")?);
    let mut labels = vec![];
    if let Some((inside, value)) = rest.strip_prefix('{').and_then(|rest| rest.rsplit_once("} ")) {
        value.parse::<f64>()?;
        let mut left = inside;
        while let Some((label, after)) = left.split_once("=\"") {
            labels.push(label.trim_start_matches(',').to_owned());
            left = after.split_at(end_of_value(after).context("a label without an end")?).1;
            left = left.strip_prefix('"').unwrap_or_default();
        }
    } else {
        rest.trim().parse::<f64>()?;
    }
    ensure!(!name.is_empty(), "no name");
    labels.sort();
    Ok((name.to_owned(), labels))
}

/// Where a label's value ends: at the first quote without a backslash before it.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a Some.\n# TYPE a counter\na{z=\"1\",b=\"x\\\"y,c=\\\"\"} 4096\na_b 1e-3\n\n";

    #[test]
    fn names_types_and_labels_are_read() {
        let found = Exposition::read(TEXT).unwrap();
        assert_eq!(found.types, BTreeMap::from([("a".to_owned(), "counter".to_owned())]));
        let series = [("a".to_owned(), vec!["b".to_owned(), "z".to_owned()]), ("a_b".to_owned(), vec![])];
        assert_eq!(found.series, BTreeSet::from(series));
    }

    #[test]
    fn what_is_no_exposition_is_refused() {
        for text in ["<html>", "a{b=\"c\"}", "a one", "{\"error\": 503}"] {
            assert!(Exposition::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_only_in_one_of_them_is_named() {
        let (one, other) = (Exposition::read(TEXT).unwrap(), Exposition::read("# TYPE a gauge\na{z=\"1\"} 1").unwrap());
        assert_eq!(one.beyond(&other), ["counter a", "a{b,z}", "a_b{}"]);
        assert_eq!(one.beyond(&one), Vec::<String>::new());
    }
}
