//! Text to token ids. This module owns the length limit: an [`Encoded`] is never empty and never longer than the model
//! takes, so the queue and the model need not check again.

mod class;
mod resolve;
mod template;

use std::collections::HashSet;

use tokenizers::{TruncationDirection, TruncationParams, TruncationStrategy};

pub use self::resolve::{Hints, Resolved, resolve};
use crate::plain;

/// Bytes of text per token of the limit that are tokenized first. Natural text has four or five bytes per token.
const BYTES_PER_TOKEN: usize = 64;

/// Bytes between the last token that counts and the place where a long text was cut. What comes after the cut can change
/// tokens near it, but none so far away.
const MARGIN: usize = 4096;

/// Token ids of one text: at least one, at most as many as the model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    ids: Vec<u32>,
    /// First token of type 1; all before it are of type 0.
    second: usize,
    skipped: usize,
}

impl Encoded {
    /// The ids, in the order of the text.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The type of each token.
    pub fn types(&self) -> impl Iterator<Item = i64> {
        (0..self.ids.len()).map(|place| i64::from(place >= self.second))
    }

    fn single(ids: Vec<u32>) -> Self {
        let second = ids.len();
        Self { ids, second, skipped: 0 }
    }

    /// Tokens at the start that are not pooled; fewer than there are tokens.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Leaves the tokens of a prompt out of pooling.
    pub fn skip(self, prompt: usize) -> Result<Self, Refused> {
        if prompt < self.ids.len() { Ok(Self { skipped: prompt, ..self }) } else { Err(Refused::OnlyPrompt) }
    }
}

/// Why a text has no [`Encoded`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More tokens than the model takes.
    #[error("is {}{tokens} tokens long; the model takes at most {limit}", if *whole { "" } else { "more than " })]
    TooManyTokens {
        /// Tokens of the part that was tokenized, special tokens included.
        tokens: usize,
        /// Whether that part was the whole text.
        whole: bool,
        /// Most tokens that the model takes.
        limit: usize,
    },
    /// The prompt before the text fills the limit, and the model pools only what follows the prompt.
    #[error("has no room beside its prompt; the model takes fewer tokens than the prompt has")]
    OnlyPrompt,
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
    side: TruncationDirection,
    /// Ids of the special tokens that the model's files name.
    named: HashSet<u32>,
    /// The model is given the types of tokens.
    token_types: bool,
    /// The same, cutting pairs by itself; only for models of pairs.
    cutting: Option<tokenizers::Tokenizer>,
}

/// A token as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// The piece of the text, or the name of a special token.
    pub text: String,
    /// Whether it is special.
    pub special: bool,
    /// First character of the piece, and the one after it; none for a token that is not in the text.
    pub place: Option<(usize, usize)>,
}

impl Tokenizer {
    /// Reads tokenizer.json. `vocabulary` is the number of rows of the embedding table.
    pub fn new(json: &[u8], max_tokens: usize, vocabulary: usize) -> Result<Self, String> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|error| plain::said(&error.to_string()))?;
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
        let (side, named) = (TruncationDirection::Right, HashSet::new());
        Ok(Self { inner, max_tokens, special, vocabulary, side, named, token_types: true, cutting: None })
    }

    /// The tokenizer that [`resolve`] found.
    pub fn resolved(resolved: &Resolved, max_tokens: usize, vocabulary: usize) -> Result<Self, String> {
        let json = serde_json::to_vec(&resolved.json).map_err(|error| error.to_string())?;
        let mut tokenizer = Self::new(&json, max_tokens, vocabulary)?;
        tokenizer.inner.set_encode_special_tokens(resolved.special_is_text);
        tokenizer.token_types = resolved.token_types;
        tokenizer.named = resolved.special.iter().filter_map(|token| tokenizer.inner.token_to_id(token)).collect();
        if resolved.cut_start {
            tokenizer.side = TruncationDirection::Left;
        }
        // A model of single texts gets no token types here, so they must be what it is given anyway.
        let types = tokenizer.inner.encode("x", true).map_err(|error| error.to_string())?;
        if resolved.token_types && types.get_type_ids().iter().any(|kind| *kind != 0) {
            return Err("it gives a single text a token type other than 0, which is not supported".to_owned());
        }
        Ok(tokenizer)
    }

    /// Most tokens of a text, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Ids below this are known.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The id of a token, by its name.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Tokens at a text's start that belong to a prompt before it, as sentence-transformers counts them: those of the
    /// prompt alone, without a special token at its end.
    pub fn prompt_tokens(&self, prompt: &str) -> usize {
        let Ok(encoded) = self.text(prompt, true) else { return 0 };
        encoded.ids.len() - usize::from(encoded.ids.last().is_some_and(|last| self.named.contains(last)))
    }

    /// Tokenizes a text; one that is too long is cut at one end, or refused.
    pub fn text(&self, text: &str, truncate: bool) -> Result<Encoded, Refused> {
        let (mut encoding, whole) = self.start(text, truncate)?;
        let tokens = encoding.len() + self.special;
        if tokens > self.max_tokens && !truncate {
            return Err(Refused::TooManyTokens { tokens, whole, limit: self.max_tokens });
        }
        // Cut before the special tokens are added, so that those stay at the ends.
        encoding.truncate(self.max_tokens - self.special, 0, self.side);
        let encoding = self.inner.post_process(encoding, None, true).map_err(|_| Refused::Tokenizer)?;
        let ids = encoding.get_ids();
        if ids.is_empty() { Err(Refused::Empty) } else { Ok(Encoded::single(ids.to_vec())) }
    }

    /// Tokenizes a pair of texts; one that is too long is cut at its longer text, or refused.
    pub fn pair(&self, first: &str, second: &str, truncate: bool) -> Result<Encoded, Refused> {
        let encoding = match &self.cutting {
            Some(cutting) if truncate => cutting.encode_fast((first, second), true).map_err(|_| Refused::Tokenizer)?,
            _ => {
                let ((one, _), (two, whole)) = (self.start(first, false)?, self.start(second, false)?);
                let special = self.special_of_pair();
                let tokens = one.len() + two.len() + special;
                if tokens > self.max_tokens {
                    return Err(Refused::TooManyTokens { tokens, whole, limit: self.max_tokens });
                }
                self.inner.post_process(one, Some(two), true).map_err(|_| Refused::Tokenizer)?
            }
        };
        let ids = encoding.get_ids().to_vec();
        if ids.is_empty() {
            return Err(Refused::Empty);
        }
        let kinds = encoding.get_type_ids();
        let second = if self.token_types { kinds.iter().position(|kind| *kind != 0) } else { None };
        let second = second.unwrap_or(ids.len());
        // The template of a pair is zeros and then ones in every class of transformers.
        if self.token_types && kinds[second..].iter().any(|kind| *kind != 1) {
            return Err(Refused::Tokenizer);
        }
        Ok(Encoded { ids, second, skipped: 0 })
    }

    fn special_of_pair(&self) -> usize {
        self.inner.get_post_processor().map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, true))
    }

    /// Prepares for pairs, which the library itself cuts: which of two texts loses a token depends on how far it reads a
    /// text that is too long.
    pub fn for_pairs(mut self) -> Result<Self, String> {
        if self.max_tokens <= self.special_of_pair() {
            return Err(format!(
                "it adds {} tokens to a pair, and the model takes {}",
                self.special_of_pair(),
                self.max_tokens
            ));
        }
        let mut cutting = self.inner.clone();
        let params = TruncationParams {
            max_length: self.max_tokens,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
            direction: self.side,
        };
        cutting.with_truncation(Some(params)).map_err(|error| error.to_string())?;
        self.cutting = Some(cutting);
        Ok(self)
    }

    /// The tokens of a text as they are shown: id, text, whether it is special, and its place in the text in characters.
    pub fn tokens(&self, text: &str, special: bool) -> Result<Vec<Token>, Refused> {
        let encoding = self.inner.encode_char_offsets(text, special).map_err(|_| Refused::Tokenizer)?;
        let parts = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_special_tokens_mask());
        let shown = parts.zip(encoding.get_tokens()).map(|(((id, offsets), special), token)| {
            let special = *special == 1;
            let place = (!special).then_some(*offsets);
            let piece = place.map(|(start, stop)| text.chars().skip(start).take(stop - start).collect());
            Token { id: *id, text: piece.unwrap_or_else(|| token.clone()), special, place }
        });
        Ok(shown.collect())
    }

    /// The text of token ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Refused> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(Refused::UnknownId { id: *id, last: self.vocabulary.saturating_sub(1) });
        }
        self.inner.decode(ids, skip_special).map_err(|_| Refused::Tokenizer)
    }

    /// Tokenizes a text, or of a long one as much from its start as decides the tokens that count; says whether that is
    /// the whole text. A text of 8 MB would otherwise take seconds, of which a few hundred tokens are kept.
    fn start(&self, text: &str, truncate: bool) -> Result<(tokenizers::Encoding, bool), Refused> {
        let encode = |part: &str| self.inner.encode_fast(part, false).map_err(|_| Refused::Tokenizer);
        let mut bytes = self.max_tokens.saturating_mul(BYTES_PER_TOKEN).saturating_add(MARGIN);
        // The end of a text that is cut at its start is known only when all of it is tokenized.
        let from_start = !truncate || self.side == TruncationDirection::Right;
        while from_start && bytes < text.len() {
            let cut = text.floor_char_boundary(bytes);
            // At a blank, if one is near: no word is torn apart there.
            let near = text.floor_char_boundary(cut - MARGIN / 2);
            let cut = text[near..cut].rfind(char::is_whitespace).map_or(cut, |blank| near + blank);
            let part = self.inner.encode(&text[..cut], false).map_err(|_| Refused::Tokenizer)?;
            let last = self.max_tokens.saturating_sub(self.special);
            if part.get_offsets().get(last).is_some_and(|(_, end)| end + MARGIN / 2 <= cut) {
                return Ok((part, false));
            }
            bytes = bytes.saturating_mul(2);
        }
        Ok((encode(text)?, true))
    }

    /// Takes ids unchanged: the caller has added the special tokens, or wants none.
    pub fn ids(&self, ids: Vec<u32>, truncate: bool) -> Result<Encoded, Refused> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(Refused::UnknownId { id: *id, last: self.vocabulary.saturating_sub(1) });
        }
        match ids.len() {
            0 => Err(Refused::Empty),
            tokens if tokens > self.max_tokens && !truncate => {
                Err(Refused::TooManyTokens { tokens, whole: true, limit: self.max_tokens })
            }
            _ => Ok(Encoded::single(ids.into_iter().take(self.max_tokens).collect())),
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
        assert_eq!(refused, Refused::TooManyTokens { tokens: 18, whole: true, limit: 6 });
        assert_eq!(tokenizer(18).text(text, false).unwrap().ids().len(), 18);
    }

    #[test]
    fn a_long_text_is_cut_by_its_tokens_and_never_by_its_bytes() {
        let blanks = " ".repeat(1_000_000);
        assert_eq!(tokenizer(4).text(&format!("{blanks}w0{blanks}w1"), false).unwrap().ids(), [2, 4, 5, 3]);
        assert_eq!(tokenizer(4).text(&format!("w0{blanks}w1 w2"), true).unwrap().ids(), [2, 4, 5, 3]);
        let word = "é".repeat(500_000);
        assert_eq!(tokenizer(8).text(&word, false).unwrap().ids(), [2, 1, 3]);
        let words = "w0 w1 w2 ".repeat(500_000);
        assert_eq!(tokenizer(6).text(&words, true).unwrap().ids(), [2, 4, 5, 6, 4, 3]);
        let Err(Refused::TooManyTokens { tokens, whole: false, limit: 6 }) = tokenizer(6).text(&words, false) else {
            panic!("a text that is far too long is refused");
        };
        assert!((1000..100_000).contains(&tokens), "{tokens} tokens of 1.5 million");
    }

    #[test]
    fn a_pair_is_cut_at_its_longer_text_and_has_types() {
        let pairs = tokenizer(9).for_pairs().unwrap();
        let pair = pairs.pair("w0 w1", "w2 w3 w4 w5 w6 w7", true).unwrap();
        assert_eq!(pair.ids().len(), 9);
        assert!(pairs.pair("w0 w1", "w2 w3 w4 w5 w6 w7", false).is_err());
        assert!(pairs.pair("w0 w1", "w2 w3", false).is_ok());
        assert_eq!(pair.types().count(), 9);
    }

    #[test]
    fn tokens_show_their_place_and_decode_to_their_text() {
        let tokenizer = tokenizer(8);
        let tokens = tokenizer.tokens("w0 w1", true).unwrap();
        assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), [2, 4, 5, 3]);
        assert_eq!(tokens[1], Token { id: 4, text: "w0".into(), special: false, place: Some((0, 2)) });
        assert!(tokens[0].special && tokens[0].place.is_none());
        assert_eq!(tokenizer.decode(&[2, 4, 5, 3], true).unwrap(), "w0 w1");
        assert!(tokenizer.decode(&[99], true).is_err());
    }

    #[test]
    fn ids_are_taken_unchanged_within_the_vocabulary() {
        assert_eq!(tokenizer(4).ids(vec![2, 4, 3], false).unwrap().ids(), [2, 4, 3]);
        assert_eq!(tokenizer(4).ids(vec![14], false), Err(Refused::UnknownId { id: 14, last: 13 }));
        assert_eq!(tokenizer(4).ids(vec![], false), Err(Refused::Empty));
        assert_eq!(
            tokenizer(4).ids(vec![4; 5], false),
            Err(Refused::TooManyTokens { tokens: 5, whole: true, limit: 4 })
        );
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
