//! Text to token ids. This module owns the length limit: an [`Encoded`] is never empty and never longer than the model
//! takes, so the queue and the model need not check again.

use tokenizers::TruncationDirection;

/// Most bytes of text per token of the limit. A longer text is cut before it is tokenized, because the time of some
/// tokenizers grows with the square of the length. Natural text has four or five bytes per token.
const BYTES_PER_TOKEN: usize = 64;

/// Token ids of one text: at least one, at most as many as the model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Vec<u32>);

impl Encoded {
    /// The ids, in the order of the text.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

/// Why a text has no [`Encoded`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More tokens than the model takes.
    #[error("is {tokens} tokens long; the model takes at most {limit}")]
    TooManyTokens {
        /// Tokens of the text, special tokens included.
        tokens: usize,
        /// Most tokens that the model takes.
        limit: usize,
    },
    /// More bytes than the tokenizer may get; the text was not tokenized.
    #[error("is {bytes} bytes long; the model takes at most {limit} tokens, and at most {} bytes", limit * BYTES_PER_TOKEN)]
    TooManyBytes {
        /// Bytes of the text.
        bytes: usize,
        /// Most tokens that the model takes.
        limit: usize,
    },
    /// A caller's token id that the model has no row for.
    #[error("has token id {id}; the vocabulary ends at {last}")]
    UnknownId {
        /// The id.
        id: u32,
        /// The largest id that the model knows.
        last: usize,
    },
    /// The text has no tokens, not even special ones.
    #[error("has no tokens")]
    Empty,
    /// The tokenizer failed on this text.
    #[error("could not be tokenized")]
    Tokenizer,
}

/// A model's tokenizer with its length limit.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    /// Tokens that are added to every text.
    special: usize,
    vocabulary: usize,
}

impl Tokenizer {
    /// Reads tokenizer.json. `vocabulary` is the number of rows of the embedding table.
    pub fn new(json: &[u8], max_tokens: usize, vocabulary: usize) -> Result<Self, String> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
        let largest = inner.get_vocab(true).values().copied().max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(format!("it has token id {largest}, and the model's vocabulary_size is {vocabulary}"));
        }
        let special = inner.get_post_processor().map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, false));
        if max_tokens <= special {
            return Err(format!("it adds {special} tokens to every text, and the model takes {max_tokens}"));
        }
        // The file may set padding and a length of its own. Batches here have no padding, and the length is the
        // model's.
        inner.with_padding(None).with_truncation(None).map_err(|error| error.to_string())?;
        Ok(Self { inner, max_tokens, special, vocabulary })
    }

    /// Most tokens of a text, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Ids below this are known.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Tokenizes a text; one that is too long is cut at its end, or refused.
    pub fn text(&self, text: &str, truncate: bool) -> Result<Encoded, Refused> {
        let cut = &text[..text.floor_char_boundary(self.max_tokens.saturating_mul(BYTES_PER_TOKEN))];
        if cut.len() < text.len() && !truncate {
            return Err(Refused::TooManyBytes { bytes: text.len(), limit: self.max_tokens });
        }
        let mut encoding = self.inner.encode_fast(cut, false).map_err(|_| Refused::Tokenizer)?;
        let tokens = encoding.len() + self.special;
        if tokens > self.max_tokens && !truncate {
            return Err(Refused::TooManyTokens { tokens, limit: self.max_tokens });
        }
        // Cut before the special tokens are added, so that the last one stays the last.
        encoding.truncate(self.max_tokens - self.special, 0, TruncationDirection::Right);
        let encoding = self.inner.post_process(encoding, None, true).map_err(|_| Refused::Tokenizer)?;
        let ids = encoding.get_ids();
        if ids.is_empty() { Err(Refused::Empty) } else { Ok(Encoded(ids.to_vec())) }
    }

    /// Takes ids unchanged: the caller has added the special tokens, or wants none.
    pub fn ids(&self, ids: Vec<u32>, truncate: bool) -> Result<Encoded, Refused> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(Refused::UnknownId { id: *id, last: self.vocabulary.saturating_sub(1) });
        }
        match ids.len() {
            0 => Err(Refused::Empty),
            tokens if tokens > self.max_tokens && !truncate => {
                Err(Refused::TooManyTokens { tokens, limit: self.max_tokens })
            }
            _ => Ok(Encoded(ids.into_iter().take(self.max_tokens).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words `w0` to `w9`, with `[CLS]` and `[SEP]` around a text; `max` tokens.
    fn tokenizer(max: usize) -> Tokenizer {
        Tokenizer::new(include_bytes!("../tests/support/tokenizer.json"), max, 14).unwrap()
    }

    #[test]
    fn a_text_gets_its_special_tokens() {
        assert_eq!(tokenizer(8).text("w0 w1", false).unwrap().ids(), [2, 4, 5, 3]);
        assert_eq!(tokenizer(8).text("  ", false).unwrap().ids(), [2, 3]);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_or_refused_with_both_numbers() {
        let text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w1 w2 w3 w4 w5 w6 w7";
        assert_eq!(tokenizer(6).text(text, true).unwrap().ids(), [2, 5, 6, 7, 8, 3]);
        let refused = tokenizer(6).text(text, false).unwrap_err();
        assert_eq!(refused, Refused::TooManyTokens { tokens: 18, limit: 6 });
        assert_eq!(tokenizer(18).text(text, false).unwrap().ids().len(), 18);
    }

    #[test]
    fn a_huge_text_is_cut_before_it_is_tokenized() {
        let huge = "é".repeat(5_000_000);
        assert_eq!(tokenizer(8).text(&huge, false), Err(Refused::TooManyBytes { bytes: 10_000_000, limit: 8 }));
        assert_eq!(tokenizer(8).text(&huge, true).unwrap().ids(), [2, 1, 3]);
    }

    #[test]
    fn ids_are_taken_unchanged_within_the_vocabulary() {
        assert_eq!(tokenizer(4).ids(vec![2, 4, 3], false).unwrap().ids(), [2, 4, 3]);
        assert_eq!(tokenizer(4).ids(vec![14], false), Err(Refused::UnknownId { id: 14, last: 13 }));
        assert_eq!(tokenizer(4).ids(vec![], false), Err(Refused::Empty));
        assert_eq!(tokenizer(4).ids(vec![4; 5], false), Err(Refused::TooManyTokens { tokens: 5, limit: 4 }));
        assert_eq!(tokenizer(4).ids(vec![4; 5], true).unwrap().ids().len(), 4);
    }

    #[test]
    fn a_tokenizer_that_does_not_fit_the_model_is_refused() {
        let json = include_bytes!("../tests/support/tokenizer.json");
        assert!(Tokenizer::new(json, 8, 13).is_err());
        assert!(Tokenizer::new(json, 2, 14).is_err());
        assert!(Tokenizer::new(b"{}", 8, 14).is_err());
    }
}
