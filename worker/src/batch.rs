//! A batch without padding: all tokens in one row, texts of equal length side by side. Pure data, no tensors.
//!
//! Linear layers see one tall matrix, and attention sees each run of equal length as a small batch of its own, so a
//! text's vector does not depend on the other texts of the batch.

use crate::tokenize::Encoded;

/// Adjacent texts of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First token of the first text.
    pub offset: i64,
    /// Texts in the run.
    pub texts: i64,
    /// Tokens of each.
    pub length: i64,
    /// Tokens of each that its tokens see, from the start on; those after them see and are not seen.
    pub seen: i64,
}

/// The input of one forward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Token ids of all texts, one after the other, longest text first.
    pub ids: Vec<i64>,
    /// Position of each token in its text, from 0. A family whose table of positions starts at another row shifts the
    /// table.
    pub positions: Vec<i64>,
    /// Type of each token: 1 in the second text of a pair, where the tokenizer says so, else 0.
    pub types: Vec<i64>,
    /// The texts by length, in the order of `ids`.
    pub runs: Vec<Run>,
    /// Tokens at a text's start that are not pooled, one number a row: a prompt's, where the model leaves it out.
    pub skipped: Vec<i64>,
    /// Whether a row is a query, where queries and documents differ.
    pub queries: Vec<bool>,
    /// `order[row]` is the index, in the argument of [`Packed::new`], of the text that became this row.
    pub order: Vec<usize>,
}

impl Packed {
    /// Packs token ids, at least one a text.
    pub fn new(texts: &[&[u32]]) -> Self {
        Self::pack(&texts.iter().map(|text| (*text, text.len())).collect::<Vec<_>>())
    }

    /// Packs token ids, each with the number of those that are seen.
    fn pack(texts: &[(&[u32], usize)]) -> Self {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse((texts[*i].0.len(), texts[*i].1)));
        let tokens = texts.iter().map(|(text, _)| text.len()).sum();
        let (skipped, queries) = (vec![0; texts.len()], vec![false; texts.len()]);
        let (ids, positions) = (Vec::with_capacity(tokens), Vec::with_capacity(tokens));
        let types = vec![0; tokens];
        let mut packed = Self { ids, positions, types, runs: Vec::new(), skipped, queries, order };
        for row in 0..texts.len() {
            packed.append(texts[packed.order[row]]);
        }
        packed
    }

    /// Packs tokenized texts.
    pub fn of(texts: &[&Encoded]) -> Self {
        let ids: Vec<(&[u32], usize)> = texts.iter().map(|text| (text.ids(), text.seen())).collect();
        let mut packed = Self::pack(&ids);
        packed.queries = packed.order.iter().map(|index| texts[*index].is_query()).collect();
        packed.skipped = packed.order.iter().map(|index| texts[*index].skipped() as i64).collect();
        packed.types = packed.order.iter().flat_map(|index| texts[*index].types()).collect();
        packed
    }

    fn append(&mut self, (text, seen): (&[u32], usize)) {
        let (offset, length, seen) = (self.ids.len() as i64, text.len() as i64, seen as i64);
        self.ids.extend(text.iter().map(|id| i64::from(*id)));
        self.positions.extend(0..length);
        match self.runs.last_mut() {
            Some(run) if (run.length, run.seen) == (length, seen) => run.texts += 1,
            _ => self.runs.push(Run { offset, texts: 1, length, seen }),
        }
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Texts, which is also the number of rows that a pass gives.
    pub fn texts(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_equal_length_become_one_run() {
        let packed = Packed::new(&[&[1], &[2, 3], &[4], &[5, 6, 7], &[8, 9]]);
        assert_eq!(packed.ids, [5, 6, 7, 2, 3, 8, 9, 1, 4]);
        assert_eq!(packed.positions, [0, 1, 2, 0, 1, 0, 1, 0, 0]);
        let runs: Vec<_> = packed.runs.iter().map(|run| (run.offset, run.texts, run.length)).collect();
        assert_eq!(runs, [(0, 1, 3), (3, 2, 2), (7, 2, 1)]);
        assert_eq!(packed.order, [3, 1, 4, 0, 2]);
        assert_eq!((packed.texts(), packed.tokens()), (5, 9));
    }

    #[test]
    fn texts_of_equal_length_are_apart_if_their_tokens_see_unequally_much() {
        let (one, two): (&[u32], &[u32]) = (&[1, 2, 9], &[3, 9, 9]);
        let packed = Packed::pack(&[(two, 1), (one, 3), (two, 1), (one, 2)]);
        let runs: Vec<_> = packed.runs.iter().map(|run| (run.offset, run.texts, run.seen)).collect();
        assert_eq!((runs, packed.order), (vec![(0, 1, 3), (3, 1, 2), (6, 2, 1)], vec![1, 3, 0, 2]));
    }

    #[test]
    fn no_texts_make_no_tokens() {
        assert_eq!(Packed::new(&[]).tokens(), 0);
    }
}
