//! Late interaction: the score of a document for a query, from the vectors of their tokens (<https://arxiv.org/abs/2004.12832>).

/// The score of a document that has no vectors: below any other, as in sentence-transformers.
const NO_DOCUMENT: f32 = -1e9;

/// How the vectors of a query and a document become a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxSim {
    /// Each vector of the query takes the largest product with one of the document; the score is their sum.
    #[default]
    Sum,
    /// The same sum over the number of the query's vectors.
    Mean,
}

impl MaxSim {
    /// The score of a document; both are lists of vectors of one length.
    pub fn score(self, query: &[Vec<f32>], document: &[Vec<f32>]) -> f32 {
        let product = |one: &[f32], two: &[f32]| one.iter().zip(two).map(|(a, b)| a * b).sum::<f32>();
        let most = |own: &Vec<f32>| document.iter().map(|other| product(own, other)).fold(f32::NEG_INFINITY, f32::max);
        let sum = if document.is_empty() { NO_DOCUMENT } else { query.iter().map(most).sum() };
        match self {
            Self::Sum => sum,
            Self::Mean => sum / query.len().max(1) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_sum_of_the_best_products_or_their_mean() {
        let query = [vec![1.0, 0.0], vec![0.0, 1.0]];
        let document = [vec![0.5, -1.0], vec![0.25, -0.5], vec![-1.0, -0.75]];
        assert!((MaxSim::Sum.score(&query, &document) - 0.0).abs() < 1e-6);
        assert!((MaxSim::Sum.score(&query[..1], &document) - 0.5).abs() < 1e-6);
        assert!((MaxSim::Mean.score(&query, &query) - 1.0).abs() < 1e-6);
        assert!((MaxSim::Sum.score(&query, &query) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_document_without_vectors_is_below_all_others() {
        let query = [vec![1.0]];
        assert!(MaxSim::Sum.score(&query, &[]) < MaxSim::Sum.score(&query, &[vec![-100.0]]));
        assert!(MaxSim::Sum.score(&[], &[vec![1.0]]).abs() < 1e-6);
    }
}
