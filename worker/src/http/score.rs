//! Scores and classes, from the numbers that a head computes.

use std::cmp::Ordering;

pub(super) use crate::model::pipeline::logistic;

/// Probabilities that add up to 1.
pub(super) fn softmax(row: &[f32]) -> Vec<f32> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = row.iter().map(|x| f64::from(x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

/// Indices with their scores, the best first; of equal ones the first first.
pub(super) fn ranked(scores: Vec<f32>) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
    ranked.sort_by(|one, two| two.1.partial_cmp(&one.1).unwrap_or(Ordering::Equal));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one_for_any_numbers() {
        for row in [vec![0.0, 0.0], vec![1000.0, -1000.0, 3.0], vec![-1e30, -1e30]] {
            let sum: f32 = softmax(&row).iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{row:?}");
        }
    }

    #[test]
    fn the_best_is_first_and_of_equal_ones_the_first() {
        assert_eq!(ranked(vec![0.1, 0.9, 0.9, -1.0]), [(1, 0.9), (2, 0.9), (0, 0.1), (3, -1.0)]);
    }
}
