//! Signals of the quality of answers. The worker's own questions do not come here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use belfry_crds::contract::quality::{BASELINE_STATES, Captured, FEATURES, FORMAT, WINDOW_SECONDS};
use prometheus::Histogram;

use self::baseline::Baseline;
use self::window::{Text, Window};
use crate::engine::{Output, OutputSet, Row};
use crate::metrics::{Metrics, unix};
use crate::model::pipeline::Activation;
use crate::state::Model;

pub mod baseline;
mod confidence;
mod psi;
mod window;

/// Texts of a request that the window counts, evenly spread over it. Texts of one request are often alike, so that a request of
/// thousands would pass for a change of what is asked; and it costs as little as one of a few.
const TEXTS_OF_REQUEST: usize = 8;

/// What is known about the texts and answers of the loaded model.
#[derive(Default)]
pub struct Quality {
    /// The series of a model that has labels.
    confidence: OnceLock<Histogram>,
    window: OnceLock<Window>,
    /// What the window is compared with; `None` where no baseline is configured. Requests do not touch it.
    baseline: Mutex<Option<Baseline>>,
}

impl Quality {
    /// Begins with a model; one with labels gets the series about them.
    pub(crate) fn begin(&self, outputs: OutputSet, dimensions: usize, metrics: &Metrics) {
        let labels = [Output::Score, Output::Classes, Output::TokenClasses];
        let has_labels = labels.into_iter().any(|output| outputs.has(output));
        if has_labels {
            self.confidence.get_or_init(|| metrics.prediction_confidence.with_label_values::<&str>(&[]));
        }
        let dimensions = Some(dimensions).filter(|_| outputs.has(Output::Dense));
        self.window.get_or_init(|| Window::new(dimensions, has_labels, Instant::now()));
    }

    /// Takes what the model gave for the texts of a caller, each with its tokens and one row per output. No lock, and nothing is
    /// kept of a text but counts.
    pub(crate) fn answered(&self, tokens: &[usize], rows: &[Vec<Row>], activation: Activation, metrics: &Metrics) {
        let (now, every) = (Instant::now(), rows.len().div_ceil(TEXTS_OF_REQUEST).max(1));
        for (index, (tokens, text)) in tokens.iter().zip(rows).enumerate() {
            if text.iter().any(is_empty) {
                metrics.empty_outputs.inc();
            }
            let confidence = match self.confidence.get() {
                Some(histogram) => text.iter().find_map(|row| confidence::of(row, activation)).inspect(|probability| {
                    histogram.observe(f64::from(*probability));
                }),
                None => None,
            };
            if index % every == 0
                && let Some(window) = self.window.get()
            {
                let vector = text.iter().find_map(vector);
                window.count(Text { tokens: *tokens, vector, confidence }, now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Baseline>> {
        self.baseline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is another baseline than the present one.
    pub(self) fn is_new(&self, found: &Baseline) -> bool {
        self.lock().as_ref() != Some(found)
    }

    /// Compares with this baseline from now on.
    pub(self) fn compare_with(&self, found: Baseline) {
        *self.lock() = Some(found);
    }

    /// The state of the baseline; `None` where none is configured.
    pub fn baseline(&self) -> Option<(&'static str, Option<String>)> {
        let baseline = self.lock();
        let why = match baseline.as_ref()? {
            Baseline::Unusable(why) => Some(why.clone()),
            Baseline::OtherModel(found) => Some(format!("it is of the model with digest {}", found.digest)),
            Baseline::Missing | Baseline::Used(_) => None,
        };
        Some((baseline.as_ref()?.state(), why))
    }

    /// The last hour's texts.
    pub fn captured(&self, (name, model): (&str, &Model), now: Instant) -> Captured {
        let (texts, features) = self.window.get().map(|window| window.counts(now)).unwrap_or_default();
        Captured {
            format: FORMAT,
            model: name.to_owned(),
            digest: model.about.digest.clone(),
            captured_at: unix(SystemTime::now()),
            window_seconds: WINDOW_SECONDS,
            texts,
            features,
        }
    }

    /// How far each feature of the last hour is from the baseline; only those of which both have enough texts. Of several directions it
    /// is the one that changed most: another subject moves the mean of all vectors one way, which shows fully along few of them.
    pub fn drift(&self, now: Instant) -> BTreeMap<String, f64> {
        let baseline = self.lock();
        let (Some(Baseline::Used(before)), Some(window)) = (baseline.as_ref(), self.window.get()) else {
            return BTreeMap::new();
        };
        let (_, features) = window.counts(now);
        let of = |(name, lists): (String, Vec<Vec<u64>>)| {
            let known = before.features.get(&name).filter(|known| known.len() == lists.len())?;
            let found =
                known.iter().zip(&lists).map(|(before, now)| psi::psi(before, now)).collect::<Option<Vec<_>>>()?;
            Some((name, found.into_iter().fold(0.0, f64::max)))
        };
        features.into_iter().filter_map(of).collect()
    }

    /// Sets the metrics of drift, before they are read.
    pub(crate) fn measure(&self, metrics: &Metrics, now: Instant) {
        let Some((state, _)) = self.baseline() else { return };
        for other in BASELINE_STATES {
            metrics.drift_baseline.with_label_values(&[*other]).set(i64::from(*other == state));
        }
        let drift = self.drift(now);
        for feature in FEATURES {
            match drift.get(*feature) {
                Some(score) => metrics.drift_score.with_label_values(&[*feature]).set(*score),
                // An error says that there is no such series, which is what is wanted.
                None => drop(metrics.drift_score.remove_label_values(&[*feature])),
            }
        }
    }
}

fn vector(row: &Row) -> Option<&[f32]> {
    match row {
        Row::Dense(vector) => Some(vector),
        _ => None,
    }
}

/// Whether a row has nothing that a caller could use. A vector of zeros is as near to one text as to any other.
fn is_empty(row: &Row) -> bool {
    match row {
        Row::Dense(vector) => vector.iter().all(|value| *value == 0.0),
        Row::Sparse(words) => words.is_empty(),
        Row::MultiVector(vectors) => vectors.is_empty(),
        Row::Score(_) => false,
        Row::Classes(numbers) => numbers.is_empty(),
        Row::TokenClasses(tokens) => tokens.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_content_is_empty_and_a_low_score_is_not() {
        for row in [
            Row::Dense(vec![0.0, -0.0]),
            Row::Sparse(vec![]),
            Row::MultiVector(vec![]),
            Row::Classes(vec![]),
            Row::TokenClasses(vec![]),
        ] {
            assert!(is_empty(&row), "{row:?}");
        }
        for row in [
            Row::Dense(vec![0.0, 1e-30]),
            Row::Sparse(vec![(7, 0.1)]),
            Row::MultiVector(vec![vec![0.0]]),
            Row::Score(0.0),
            Row::Classes(vec![0.0]),
            Row::TokenClasses(vec![vec![0.0]]),
        ] {
            assert!(!is_empty(&row), "{row:?}");
        }
    }
}
