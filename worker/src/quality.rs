//! Signals of the quality of answers. The worker's own questions do not come here.

use std::sync::OnceLock;

use prometheus::Histogram;

use crate::engine::{Output, OutputSet, Row};
use crate::metrics::Metrics;
use crate::model::pipeline::Activation;

mod confidence;

/// What is known about the answers of the loaded model.
#[derive(Default)]
pub struct Quality {
    /// The series of a model that has labels.
    confidence: OnceLock<Histogram>,
}

impl Quality {
    /// Begins with a model that has these outputs; one with labels gets the series about them.
    pub(crate) fn begin(&self, outputs: OutputSet, metrics: &Metrics) {
        if [Output::Score, Output::Classes, Output::TokenClasses].into_iter().any(|output| outputs.has(output)) {
            self.confidence.get_or_init(|| metrics.prediction_confidence.with_label_values::<&str>(&[]));
        }
    }

    /// Takes what the model gave for the texts of a caller, each with one row per output. No lock, and nothing is kept of a text.
    pub(crate) fn answered(&self, rows: &[Vec<Row>], activation: Activation, metrics: &Metrics) {
        for text in rows {
            if text.iter().any(is_empty) {
                metrics.empty_outputs.inc();
            }
            let Some(histogram) = self.confidence.get() else { continue };
            if let Some(probability) = text.iter().find_map(|row| confidence::of(row, activation)) {
                histogram.observe(f64::from(probability));
            }
        }
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
