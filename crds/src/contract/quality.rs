//! What a worker knows about the texts of its last hour: the answer of `GET /v1/quality`, and the file that such an answer becomes
//! when it is kept as the baseline of a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Route of the worker.
pub const QUALITY_PATH: &str = "/v1/quality";

/// Version of this form. A file of another version is not used.
pub const FORMAT: u32 = 1;

/// Seconds that a window looks back.
pub const WINDOW_SECONDS: u64 = 3600;

/// Fewest texts of a baseline, and of a window that is compared with one.
///
/// With ten groups, chance alone gives 500 texts against 500 a PSI of 0.036, with a standard deviation of 0.017. The first is
/// subtracted, and the second is a tenth of the 0.2 at which an alert fires.
pub const FEWEST_TEXTS: u64 = 500;

/// Most bytes of a baseline; one of a worker has about 10 kB.
pub const MOST_BYTES: usize = 256 * 1024;

/// Tokens of a text.
pub const INPUT_LENGTH: &str = "input_length";

/// Direction of a text's vector.
pub const EMBEDDING: &str = "embedding";

/// Probability of a text's likeliest label.
pub const CONFIDENCE: &str = "confidence";

/// Values of the label `feature`.
pub const FEATURES: &[&str] = &[INPUT_LENGTH, EMBEDDING, CONFIDENCE];

/// The baseline is compared with.
pub const USED: &str = "used";

/// There is no file yet.
pub const MISSING: &str = "missing";

/// The file can't be used.
pub const UNUSABLE: &str = "unusable";

/// The baseline is of a model with another digest.
pub const OTHER_MODEL: &str = "other_model";

/// Values of the label `state` of a baseline.
pub const BASELINE_STATES: &[&str] = &[USED, MISSING, UNUSABLE, OTHER_MODEL];

/// Counts of texts, by what was measured of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Captured {
    /// [`FORMAT`].
    pub format: u32,
    /// Name that the worker serves the model under.
    pub model: String,
    /// SHA-256 of the model's manifest.
    pub digest: String,
    /// Unix time of the window's end.
    pub captured_at: f64,
    /// Seconds that the window looks back.
    pub window_seconds: u64,
    /// Texts that were measured, at most 8 of a request.
    pub texts: u64,
    /// Each feature's counts, in bins from the least to the largest value; an embedding has one list for each direction.
    pub features: BTreeMap<String, Vec<Vec<u64>>>,
}

impl Captured {
    /// Reads a file. An error is one line that says what is wrong, and quotes nothing of the file.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("it has {} bytes; a baseline has at most {MOST_BYTES}", bytes.len()));
        }
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no baseline: line {}, column {}", error.line(), error.column()))?;
        read.checked()
    }

    /// Refuses what can't be compared with.
    fn checked(self) -> Result<Self, String> {
        if self.format != FORMAT {
            return Err(format!("it has format {}; this version reads {FORMAT}", self.format));
        }
        if self.texts < FEWEST_TEXTS {
            return Err(format!("it has {} texts; a baseline needs {FEWEST_TEXTS}", self.texts));
        }
        for (name, lists) in &self.features {
            let whole = |list: &Vec<u64>| list.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
            if lists.is_empty() || lists.iter().any(|list| whole(list).is_none_or(|sum| sum > self.texts)) {
                let name = FEATURES.iter().find(|known| *known == name).unwrap_or(&"a feature");
                return Err(format!("{name} counts more texts than there are, or none"));
            }
        }
        Ok(self)
    }

    /// Adds the counts of another worker of the same model. `None` if it is another model or another version.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Option<Self> {
        let is_same = (self.format, &self.digest) == (other.format, &other.digest);
        if !is_same || self.features.keys().ne(other.features.keys()) {
            return None;
        }
        for (mine, theirs) in self.features.values_mut().zip(other.features.values()) {
            if mine.len() != theirs.len() || mine.iter().zip(theirs).any(|(mine, theirs)| mine.len() != theirs.len()) {
                return None;
            }
            for (mine, theirs) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
                *mine = mine.saturating_add(*theirs);
            }
        }
        self.texts = self.texts.saturating_add(other.texts);
        self.captured_at = self.captured_at.max(other.captured_at);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(texts: u64) -> Captured {
        Captured {
            format: FORMAT,
            model: "m".to_owned(),
            digest: "d".to_owned(),
            captured_at: 1.0,
            window_seconds: WINDOW_SECONDS,
            texts,
            features: [(INPUT_LENGTH.to_owned(), vec![vec![texts, 0]])].into(),
        }
    }

    fn read(change: impl Fn(&mut Captured)) -> Result<Captured, String> {
        let mut changed = captured(600);
        change(&mut changed);
        Captured::read(&serde_json::to_vec(&changed).unwrap())
    }

    #[test]
    fn what_was_written_is_read_and_what_can_not_be_compared_is_refused_with_the_reason() {
        assert_eq!(read(|_| {}), Ok(captured(600)));
        let refused = |change: fn(&mut Captured)| read(change).unwrap_err();
        assert_eq!(refused(|c| c.format = 2), "it has format 2; this version reads 1");
        assert_eq!(refused(|c| c.texts = 499), "it has 499 texts; a baseline needs 500");
        let counts = "input_length counts more texts than there are, or none";
        assert_eq!(refused(|c| c.features = [(INPUT_LENGTH.to_owned(), vec![])].into()), counts);
        assert_eq!(refused(|c| c.features = [(INPUT_LENGTH.to_owned(), vec![vec![601]])].into()), counts);
        assert_eq!(refused(|c| c.features = [(INPUT_LENGTH.to_owned(), vec![vec![u64::MAX, 1]])].into()), counts);
        for bytes in ["", "{", "[]", "{}", r#"{"format": "1"}"#, r#"{"format": -1}"#] {
            let why = Captured::read(bytes.as_bytes()).unwrap_err();
            assert!(why.starts_with("it is no baseline: line "), "{why}");
        }
        assert!(Captured::read(&vec![b' '; MOST_BYTES + 1]).unwrap_err().contains("bytes"));
    }

    #[test]
    fn the_workers_of_one_model_are_added_up_and_others_are_not() {
        let both = captured(600).with(&captured(400)).unwrap();
        assert_eq!((both.texts, &both.features[INPUT_LENGTH]), (1000, &vec![vec![1000, 0]]));
        for change in [
            |c: &mut Captured| c.digest = "other".to_owned(),
            |c: &mut Captured| c.format = 2,
            |c: &mut Captured| c.features = BTreeMap::new(),
            |c: &mut Captured| c.features = [(INPUT_LENGTH.to_owned(), vec![vec![1]])].into(),
        ] {
            let mut other = captured(400);
            change(&mut other);
            assert_eq!(captured(600).with(&other), None);
        }
    }
}
