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

/// What model2vec multiplies each row with.
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
    if tensors.contains_key(MAPPING) {
        return refuse(format!(
            "{MAPPING} is not supported; load the model with StaticEmbedding of sentence-transformers and save it again"
        ));
    }
    let has_factors = name == NAMES[1] && tensors.contains_key(FACTORS);
    let used = [Some(name), has_factors.then_some(FACTORS)];
    for name in used.into_iter().flatten() {
        if let Some((_, Some(dtype))) = tensors.get(name) {
            return refuse(format!("{name} is in {dtype:?}; float32, float16 and bfloat16 are supported"));
        }
    }
    Ok(Box::new(Table { name, rows, width, has_factors }))
}

/// The table as an encoder: a token's vector is its word's.
struct Words(Tensor);

impl Encoder for Words {
    fn encode(&self, packed: &Packed) -> TorchResult<Tensor> {
        self.0.f_index_select(0, &Tensor::f_from_slice(&packed.ids)?.f_to_device(self.0.device())?)
    }

    fn words(&self) -> &Tensor {
        &self.0
    }
}

impl Settings for Table {
    fn hidden_size(&self) -> usize {
        self.width
    }

    fn vocab_size(&self) -> usize {
        self.rows
    }

    fn max_tokens(&self) -> usize {
        MOST_TOKENS
    }

    fn marker(&self) -> &'static str {
        self.name
    }

    fn encoder(&self, builder: &mut Builder<'_>) -> Result<Box<dyn Encoder>> {
        let table = builder.tensor(self.name, &[self.rows, self.width])?;
        if !self.has_factors {
            return Ok(Box::new(Words(table)));
        }
        let factors = builder.tensor(FACTORS, &[self.rows])?;
        let scaled = factors.f_unsqueeze(1).and_then(|factors| table.f_mul(&factors));
        Ok(Box::new(Words(fits(scaled)?)))
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
