//! The first step of an encoder: a vector for each token, from its word, its position and its type.

use tch::{Device, Tensor};

use crate::batch::Packed;
use crate::model::layers::{Linear, Norm, TorchResult};

/// A table of positions.
pub(in crate::model) struct Positions {
    /// `[rows, size]`; for [`Counting::All`] it begins with the row of a text's first token.
    pub(in crate::model) table: Tensor,
    pub(in crate::model) counting: Counting,
}

/// Which row belongs to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Counting {
    /// That of its place in the text.
    All,
    /// Tokens with this id have the row of the same number; all others are counted from the row after it. So RoBERTa
    /// does it, and a text may hold that id in its middle.
    Past(i64),
}

impl Counting {
    /// The rows of all tokens of a batch.
    fn rows(self, packed: &Packed) -> Vec<i64> {
        let Self::Past(padding) = self else { return packed.positions.clone() };
        let mut row = padding;
        let next = |(id, position): (&i64, &i64)| {
            if *position == 0 {
                row = padding;
            }
            if *id == padding {
                return padding;
            }
            row += 1;
            row
        };
        packed.ids.iter().zip(&packed.positions).map(next).collect()
    }
}

/// The order of the last two steps.
pub(in crate::model) enum Finish {
    /// The norm alone.
    Norm(Norm),
    /// The norm, then a linear layer to the size of the blocks.
    NormThenProject(Norm, Linear),
    /// A linear layer to the size of the blocks, then the norm.
    ProjectThenNorm(Linear, Norm),
}

/// The tables of an encoder.
pub(in crate::model) struct Embeddings {
    /// `[vocabulary, size]`.
    pub(in crate::model) words: Tensor,
    pub(in crate::model) positions: Option<Positions>,
    /// `[types, size]`.
    pub(in crate::model) types: Option<Tensor>,
    pub(in crate::model) finish: Finish,
}

impl Embeddings {
    /// `[tokens, hidden]`.
    pub(in crate::model) fn forward(&self, packed: &Packed, device: Device) -> TorchResult<Tensor> {
        let chosen =
            |table: &Tensor, rows: &[i64]| table.f_index_select(0, &Tensor::f_from_slice(rows)?.f_to_device(device)?);
        let mut x = chosen(&self.words, &packed.ids)?;
        if let Some(types) = &self.types {
            x = if packed.types.iter().all(|kind| *kind == 0) {
                x.f_add_(&types.f_select(0, 0)?)?
            } else {
                x.f_add_(&chosen(types, &packed.types)?)?
            };
        }
        if let Some(positions) = &self.positions {
            x = x.f_add_(&chosen(&positions.table, &positions.counting.rows(packed))?)?;
        }
        match &self.finish {
            Finish::Norm(norm) => norm.forward(&x),
            Finish::NormThenProject(norm, project) => project.forward(&norm.forward(&x)?),
            Finish::ProjectThenNorm(project, norm) => norm.forward(&project.forward(&x)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padding_token_within_a_text_is_not_counted() {
        let packed = Packed::new(&[&[0, 5, 1, 6, 2], &[0, 2], &[1, 2]]);
        assert_eq!(Counting::Past(1).rows(&packed), [2, 3, 1, 4, 5, 2, 3, 1, 2]);
        assert_eq!(Counting::All.rows(&packed), packed.positions);
    }
}
