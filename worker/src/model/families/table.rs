//! The module StaticEmbedding of sentence-transformers: a table of words, and no network. Its files are those of the module itself,
//! or of model2vec.

use tch::Tensor;

use super::Settings;
use crate::batch::Packed;
use crate::failure::Result;
use crate::folder::Folder;
use crate::model::Encoder;
use crate::model::builder::{Builder, Tied, fits};
use crate::model::heads::{SequenceHead, TokenHead, VocabularyHead};
use crate::model::layers::TorchResult;
use crate::model::weights;

/// Most tokens of a text. The library has no limit.
const MOST_TOKENS: usize = 1 << 15;

/// The table's name, and that of model2vec's.
const NAMES: [&str; 2] = ["embedding.weight", "embeddings"];

/// What model2vec multiplies each token's row with.
const FACTORS: &str = "weights";

/// Rows of the table by token, where model2vec has fewer of them than tokens.
const MAPPING: &str = "mapping";

/// The settings of a table: its shape, as the weights have it.
#[derive(Debug)]
struct Table {
    name: &'static str,
    rows: usize,
    width: usize,
    has_factors: bool,
    /// The row of each token, where several tokens share one.
    mapping: Option<Vec<i64>>,
}

/// Reads the shape out of the weights, which no other file has.
pub(in crate::model) fn read(place: &Folder) -> Result<Box<dyn Settings>> {
    let tensors = weights::shapes(place)?;
    let found = NAMES.into_iter().find_map(|name| Some((name, tensors.get(name)?)));
    let refuse = |why: String| Err(place.unsupported("model.safetensors", why));
    let Some((name, (shape, _))) = found else {
        return refuse(format!("it has neither {} nor {}, as a StaticEmbedding has", NAMES[0], NAMES[1]));
    };
    let &[rows, width] = shape.as_slice() else {
        return refuse(format!("{name} has shape {shape:?}; it must be a table"));
    };
    if rows == 0 || width == 0 {
        return refuse(format!("{name} has shape {shape:?}; it must not be empty"));
    }
    let has_factors = name == NAMES[1] && tensors.contains_key(FACTORS);
    let used = [Some(name), has_factors.then_some(FACTORS)];
    for name in used.into_iter().flatten() {
        if let Some((_, Some(dtype))) = tensors.get(name) {
            return refuse(format!("{name} is in {dtype:?}; float32, float16 and bfloat16 are supported"));
        }
    }
    let mapping = if name == NAMES[1] { weights::whole_numbers(place, MAPPING)? } else { None };
    let lost = mapping.iter().flatten().enumerate().find(|(_, row)| !(0..rows as i64).contains(*row));
    if let Some((token, row)) = lost {
        return refuse(format!("{MAPPING} gives token {token} row {row}, and {name} has {rows} rows"));
    }
    Ok(Box::new(Table { name, rows, width, has_factors, mapping }))
}

/// The table as an encoder: a token's vector is its word's.
struct Words {
    table: Tensor,
    mapping: Option<Vec<i64>>,
    /// What each token's row is multiplied with, `[tokens, 1]`.
    factors: Option<Tensor>,
}

impl Encoder for Words {
    fn encode(&self, packed: &Packed) -> TorchResult<Tensor> {
        let of = |rows: &[i64]| Tensor::f_from_slice(rows)?.f_to_device(self.table.device());
        let tokens = of(&packed.ids)?;
        let vectors = match &self.mapping {
            // The tokenizer gives no id that has no row.
            Some(mapping) => {
                let rows: Vec<i64> = packed.ids.iter().map(|id| mapping[*id as usize]).collect();
                self.table.f_index_select(0, &of(&rows)?)?
            }
            None => self.table.f_index_select(0, &tokens)?,
        };
        match &self.factors {
            Some(factors) => vectors.f_mul(&factors.f_index_select(0, &tokens)?),
            None => Ok(vectors),
        }
    }

    fn words(&self) -> &Tensor {
        &self.table
    }
}

impl Settings for Table {
    fn hidden_size(&self) -> usize {
        self.width
    }

    fn vocab_size(&self) -> usize {
        self.mapping.as_ref().map_or(self.rows, Vec::len)
    }

    fn max_tokens(&self) -> usize {
        MOST_TOKENS
    }

    fn marker(&self) -> &'static str {
        self.name
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let table = builder.tensor(self.name, &[self.rows, self.width])?;
        let factors = if self.has_factors {
            let factors = builder.tensor(FACTORS, &[self.vocab_size()])?;
            Some(fits(factors.f_unsqueeze(1))?)
        } else {
            None
        };
        Ok(Box::new(Words { table, mapping: self.mapping.clone(), factors }))
    }

    fn sequence_head(&self, builder: &mut Builder<'_>, _: usize) -> Result<SequenceHead> {
        Err(builder.unsupported("a table of words has no head"))
    }

    fn token_head(&self, builder: &mut Builder<'_>, _: usize) -> Result<TokenHead> {
        Err(builder.unsupported("a table of words has no head"))
    }

    fn vocabulary_head(&self, builder: &mut Builder<'_>, _: Tied<'_>) -> Result<VocabularyHead> {
        Err(builder.unsupported("a table of words has no head"))
    }
}
