//! How sure a model is of its own answer.

use crate::engine::Row;
use crate::model::pipeline::{Activation, logistic};

/// The probability of the likeliest label of a text, from 0 to 1; `None` of a row without labels.
///
/// - One label, as a reranker has it: the logistic function of its number, which is the probability of that label.
/// - Several labels: the largest of the softmax, since one of them holds. In a model whose files say that each label holds by
///   itself (`Sigmoid`) it is the largest logistic function.
/// - Labels of tokens: the mean over the tokens, so that a long text is one observation as a short one is.
pub(super) fn of(row: &Row, activation: Activation) -> Option<f32> {
    match row {
        Row::Score(number) => Some(logistic(*number)),
        Row::Classes(numbers) => likeliest(numbers, activation),
        Row::TokenClasses(tokens) => {
            let sum: f32 = tokens.iter().filter_map(|numbers| likeliest(numbers, activation)).sum();
            (!tokens.is_empty()).then(|| sum / tokens.len() as f32)
        }
        Row::Dense(_) | Row::Sparse(_) | Row::MultiVector(_) => None,
    }
}

/// Without an allocation: there may be a thousand tokens.
fn likeliest(numbers: &[f32], activation: Activation) -> Option<f32> {
    let largest = numbers.iter().copied().reduce(f32::max)?;
    if numbers.len() == 1 || activation == Activation::Sigmoid {
        return Some(logistic(largest));
    }
    let sum: f64 = numbers.iter().map(|number| f64::from(number - largest).exp()).sum();
    Some((1.0 / sum) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_that_of_the_likeliest_label() {
        let of = |row, activation| of(&row, activation).unwrap();
        assert_eq!(of(Row::Score(0.0), Activation::ByLabels), 0.5);
        assert_eq!(of(Row::Classes(vec![0.0]), Activation::Identity), 0.5);
        assert_eq!(of(Row::Classes(vec![3.0; 4]), Activation::ByLabels), 0.25);
        assert!((of(Row::Classes(vec![0.0, 3.0_f32.ln()]), Activation::Identity) - 0.75).abs() < 1e-6);
        assert_eq!(of(Row::Classes(vec![-9.0, 0.0]), Activation::Sigmoid), 0.5);
        let tokens = vec![vec![0.0, 0.0], vec![0.0, 3.0_f32.ln()]];
        assert!((of(Row::TokenClasses(tokens), Activation::ByLabels) - 0.625).abs() < 1e-6);
    }

    #[test]
    fn numbers_of_any_size_give_a_probability() {
        for numbers in [vec![f32::MAX, f32::MIN], vec![f32::MIN; 3], vec![1e-40, 0.0]] {
            for activation in [Activation::ByLabels, Activation::Sigmoid] {
                let probability = of(&Row::Classes(numbers.clone()), activation).unwrap();
                assert!((0.0..=1.0).contains(&probability), "{numbers:?}: {probability}");
            }
        }
    }

    #[test]
    fn what_has_no_labels_has_no_confidence() {
        for row in [
            Row::Dense(vec![1.0]),
            Row::Sparse(vec![(1, 1.0)]),
            Row::MultiVector(vec![vec![1.0]]),
            Row::Classes(vec![]),
            Row::TokenClasses(vec![]),
        ] {
            assert_eq!(of(&row, Activation::ByLabels), None, "{row:?}");
        }
    }
}
