//! The kinds of output that a model can have for a text.

use std::fmt;

use super::EngineError;

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// One vector per text.
    Dense,
    /// Weights of some tokens of the vocabulary.
    Sparse,
    /// One vector per token.
    MultiVector,
    /// One number per text, as rerankers compute it.
    Score,
    /// One number per class.
    Classes,
    /// One number per class for each token.
    TokenClasses,
}

impl Output {
    /// Every kind, in the order of their names above.
    pub const ALL: [Self; 6] =
        [Self::Dense, Self::Sparse, Self::MultiVector, Self::Score, Self::Classes, Self::TokenClasses];

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
            Self::MultiVector => "multi-vector",
            Self::Score => "score",
            Self::Classes => "classes",
            Self::TokenClasses => "token-classes",
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of outputs: those of a model, or those that a pass must compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSet(u8);

impl OutputSet {
    /// The set of these outputs.
    pub fn of(outputs: impl IntoIterator<Item = Output>) -> Self {
        outputs.into_iter().fold(Self::default(), |set, output| Self(set.0 | 1 << output as u8))
    }

    /// Whether the set has this output.
    pub const fn has(self, output: Output) -> bool {
        self.0 & 1 << output as u8 != 0
    }

    /// The outputs of the set, in the order of [`Output::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Output> {
        Output::ALL.into_iter().filter(move |output| self.has(*output))
    }

    /// Returns an error that names the first output of the set that `has` lacks.
    pub(super) fn all_in(self, has: Self) -> Result<(), EngineError> {
        self.iter().find(|output| !has.has(*output)).map_or(Ok(()), |lacks| Err(EngineError::NoSuchOutput(lacks)))
    }
}

/// The results of a pass: one row per text for each wanted output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A text's vector.
    pub dense: Option<Vec<Vec<f32>>>,
    /// Token ids with their weights, in the order of the ids.
    pub sparse: Option<Vec<Vec<(u32, f32)>>>,
    /// A vector per token that counts.
    pub multi_vector: Option<Vec<Vec<Vec<f32>>>>,
    /// A text's score, as the model computes it.
    pub scores: Option<Vec<f32>>,
    /// A number per class, in the model's order.
    pub classes: Option<Vec<Vec<f32>>>,
    /// The same for each token of a text.
    pub token_classes: Option<Vec<Vec<Vec<f32>>>>,
}

/// The result for one text.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// See [`Outputs::dense`].
    Dense(Vec<f32>),
    /// See [`Outputs::sparse`].
    Sparse(Vec<(u32, f32)>),
    /// See [`Outputs::multi_vector`].
    MultiVector(Vec<Vec<f32>>),
    /// See [`Outputs::scores`].
    Score(f32),
    /// See [`Outputs::classes`].
    Classes(Vec<f32>),
    /// See [`Outputs::token_classes`].
    TokenClasses(Vec<Vec<f32>>),
}

impl Outputs {
    /// Checks that every wanted output exists, with one row per text.
    pub(super) fn check(&self, wanted: OutputSet, texts: usize) -> Result<(), EngineError> {
        for output in wanted.iter() {
            match self.rows(output) {
                None => return Err(EngineError::NoSuchOutput(output)),
                Some(rows) if rows != texts => return Err(EngineError::Rows { output, rows, texts }),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn rows(&self, output: Output) -> Option<usize> {
        match output {
            Output::Dense => self.dense.as_ref().map(Vec::len),
            Output::Sparse => self.sparse.as_ref().map(Vec::len),
            Output::MultiVector => self.multi_vector.as_ref().map(Vec::len),
            Output::Score => self.scores.as_ref().map(Vec::len),
            Output::Classes => self.classes.as_ref().map(Vec::len),
            Output::TokenClasses => self.token_classes.as_ref().map(Vec::len),
        }
    }

    /// Takes a text's row out, and leaves an empty one. Returns `None` if the row is missing, or if a number in it is
    /// not finite: JSON has no NaN, and such a vector would damage the index that stores it.
    pub fn take(&mut self, output: Output, row: usize) -> Option<Row> {
        match output {
            Output::Dense => taken(&mut self.dense, row).map(Row::Dense),
            Output::Sparse => taken(&mut self.sparse, row).map(Row::Sparse),
            Output::MultiVector => taken(&mut self.multi_vector, row).map(Row::MultiVector),
            Output::Score => taken(&mut self.scores, row).map(Row::Score),
            Output::Classes => taken(&mut self.classes, row).map(Row::Classes),
            Output::TokenClasses => taken(&mut self.token_classes, row).map(Row::TokenClasses),
        }
    }

    /// Whether every number of every row is finite.
    pub fn finite(&self) -> bool {
        self.dense.finite()
            && self.sparse.finite()
            && self.multi_vector.finite()
            && self.scores.finite()
            && self.classes.finite()
            && self.token_classes.finite()
    }
}

fn taken<T: Default + Finite>(rows: &mut Option<Vec<T>>, row: usize) -> Option<T> {
    rows.as_mut()?.get_mut(row).map(std::mem::take).filter(Finite::finite)
}

/// Whether all numbers in something are finite.
trait Finite {
    fn finite(&self) -> bool;
}

impl Finite for f32 {
    fn finite(&self) -> bool {
        self.is_finite()
    }
}

impl Finite for (u32, f32) {
    fn finite(&self) -> bool {
        self.1.is_finite()
    }
}

impl<T: Finite> Finite for Vec<T> {
    fn finite(&self) -> bool {
        self.iter().all(Finite::finite)
    }
}

impl<T: Finite> Finite for Option<T> {
    fn finite(&self) -> bool {
        self.iter().all(Finite::finite)
    }
}

impl Row {
    /// The vector, if this is a dense row.
    pub fn dense(self) -> Option<Vec<f32>> {
        match self {
            Self::Dense(vector) => Some(vector),
            _ => None,
        }
    }

    /// The weights of words, if this is a sparse row.
    pub fn sparse(self) -> Option<Vec<(u32, f32)>> {
        match self {
            Self::Sparse(words) => Some(words),
            _ => None,
        }
    }

    /// The vectors of the tokens, if this is such a row.
    pub fn multi_vector(self) -> Option<Vec<Vec<f32>>> {
        match self {
            Self::MultiVector(vectors) => Some(vectors),
            _ => None,
        }
    }

    /// The number, if this is a score.
    pub fn score(self) -> Option<f32> {
        match self {
            Self::Score(score) => Some(score),
            _ => None,
        }
    }

    /// The numbers of the labels, if this is such a row.
    pub fn classes(self) -> Option<Vec<f32>> {
        match self {
            Self::Classes(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The numbers of the labels for each token, if this is such a row.
    pub fn token_classes(self) -> Option<Vec<Vec<f32>>> {
        match self {
            Self::TokenClasses(numbers) => Some(numbers),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Outputs {
        Outputs {
            dense: Some(vec![vec![1.0], vec![f32::NAN]]),
            sparse: Some(vec![vec![(7, 1.0)], vec![(7, f32::INFINITY)]]),
            multi_vector: Some(vec![vec![vec![1.0]], vec![vec![1.0], vec![f32::NAN]]]),
            scores: Some(vec![1.0, f32::NAN]),
            classes: Some(vec![vec![1.0, 2.0], vec![0.0, f32::NEG_INFINITY]]),
            token_classes: Some(vec![vec![vec![1.0]], vec![vec![1.0], vec![f32::NAN]]]),
        }
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        for output in Output::ALL {
            let set = OutputSet::of([output]);
            assert_eq!(set.iter().collect::<Vec<_>>(), [output]);
            assert_eq!(set.all_in(OutputSet::of(Output::ALL)), Ok(()));
            assert_eq!(set.all_in(OutputSet::default()), Err(EngineError::NoSuchOutput(output)));
        }
    }

    #[test]
    fn an_output_that_is_missing_or_has_another_number_of_rows_fails_the_pass() {
        let all = OutputSet::of(Output::ALL);
        assert_eq!(full().check(all, 2), Ok(()));
        assert_eq!(Outputs::default().check(OutputSet::default(), 2), Ok(()));
        for output in Output::ALL {
            let wanted = OutputSet::of([output]);
            assert_eq!(Outputs::default().check(wanted, 2), Err(EngineError::NoSuchOutput(output)));
            assert_eq!(full().check(wanted, 3), Err(EngineError::Rows { output, rows: 2, texts: 3 }));
        }
    }

    #[test]
    fn a_row_with_a_number_that_is_not_finite_is_never_given() {
        let mut outputs = full();
        assert!(!outputs.finite() && Outputs::default().finite());
        for output in Output::ALL {
            assert!(outputs.take(output, 0).is_some(), "{output}");
            assert_eq!(outputs.take(output, 1), None, "{output}");
            assert_eq!(outputs.take(output, 2), None, "{output}");
        }
        assert_eq!(full().take(Output::Dense, 0).and_then(Row::dense), Some(vec![1.0]));
        assert_eq!(full().take(Output::Score, 0).and_then(Row::dense), None);
    }
}
