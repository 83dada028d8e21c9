//! What an evaluation job measured of a model, in annotations of the `InferenceModel`: they outlive pods, and need no store.
//!
//! A job writes one annotation for each of its data sets, `accuracy.belfry.dev/DATASET`, with a JSON object. The operator exports it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

/// What the names of these annotations begin with; the rest is the name of the data set.
pub const PREFIX: &str = "accuracy.belfry.dev/";

/// Most data sets of a model that are read, in the order of their names: each is a few series.
pub const MOST_DATASETS: usize = 8;

/// Most letters of a version.
const MOST_LETTERS: usize = 63;

/// A score on a data set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// From 0 to 1, and more is better.
    pub score: f64,
    /// What was measured, in the job's own words, 1 to 63 letters.
    pub version: String,
    /// When, as RFC 3339.
    pub time: Time,
    /// The score that it must have, from 0 to 1. Default: none.
    #[serde(default)]
    pub minimum: Option<f64>,
}

impl Accuracy {
    /// Reads an annotation. An error is one line.
    fn read(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_share = |number: &f64| (0.0..=1.0).contains(number);
        if !is_share(&read.score) || !read.minimum.iter().all(is_share) {
            return Err("score and minimum are from 0 to 1".to_owned());
        }
        let letters = read.version.chars().count();
        if !(1..=MOST_LETTERS).contains(&letters) || read.version.chars().any(char::is_control) {
            return Err(format!("version has 1 to {MOST_LETTERS} letters"));
        }
        Ok(read)
    }
}

/// The data sets among annotations, at most [`MOST_DATASETS`], each with its score or why it can't be read.
pub fn of(annotations: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Result<Accuracy, String>)> {
    let all = annotations.iter().filter_map(|(name, text)| Some((name.strip_prefix(PREFIX)?, text)));
    all.take(MOST_DATASETS).map(|(dataset, text)| (dataset, Accuracy::read(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Accuracy, String> {
        let annotations = BTreeMap::from([(format!("{PREFIX}stsb"), text.to_owned()), ("other".into(), "x".into())]);
        let mut found: Vec<_> = of(&annotations).collect();
        assert_eq!((found.len(), found[0].0), (1, "stsb"));
        found.remove(0).1
    }

    #[test]
    fn a_score_is_read_and_what_is_no_score_is_refused() {
        let good = read(r#"{"score": 0.86, "version": "v3", "time": "2026-11-30T22:00:00Z", "minimum": 0.8}"#).unwrap();
        assert_eq!((good.score, good.minimum, good.time.0.as_second()), (0.86, Some(0.8), 1_796_076_000));
        assert!(read(r#"{"score": 0, "version": "v3", "time": "2026-11-30T22:00:00+01:00"}"#).is_ok());
        for bad in [
            "",
            "0.86",
            "{}",
            r#"{"score": "0.86", "version": "v3", "time": "2026-11-30T22:00:00Z"}"#,
            r#"{"score": 86, "version": "v3", "time": "2026-11-30T22:00:00Z"}"#,
            r#"{"score": -0.1, "version": "v3", "time": "2026-11-30T22:00:00Z"}"#,
            r#"{"score": 0.8, "version": "", "time": "2026-11-30T22:00:00Z"}"#,
            r#"{"score": 0.8, "version": "v3", "time": "yesterday"}"#,
            r#"{"score": 0.8, "version": "v3"}"#,
            r#"{"score": 0.8, "version": "v3", "time": "2026-11-30T22:00:00Z", "minimum": 2}"#,
            r#"{"score": 0.8, "version": "v3", "time": "2026-11-30T22:00:00Z", "minimun": 0.8}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_model_has_at_most_eight_data_sets() {
        let many = (0..20).map(|number| (format!("{PREFIX}set{number:02}"), "{}".to_owned())).collect();
        assert_eq!(of(&many).map(|(dataset, _)| dataset.to_owned()).last().unwrap(), "set07");
    }
}
