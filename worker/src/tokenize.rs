//! Text to token ids. This module owns the length limit: an [`Encoded`] is never empty and never longer than the model
//! takes, so the queue and the model need not check again.

mod chat;
mod class;
mod encoded;
mod pieces;
mod readable;
mod resolve;
mod template;

use std::collections::HashSet;

use tokenizers::{ModelWrapper, TruncationDirection};

pub use self::encoded::{Encoded, Fill, Queries};
pub use self::pieces::Piece;
pub use self::resolve::{Hints, Resolved, resolve, resolve_alone};
use crate::chat::Chat;
use crate::plain;

/// Bytes of text per token of the limit that are tokenized first. Natural text has four or five bytes per token.
const BYTES_PER_TOKEN: usize = 64;

/// Bytes between the last token that counts and the place where a long text was cut. What comes after the cut can change
/// tokens near it, but none so far away.
const MARGIN: usize = 4096;

/// Bytes of a text that are tokenized first, if so many tokens count.
fn first_part(limit: usize) -> usize {
    limit.saturating_mul(BYTES_PER_TOKEN).saturating_add(MARGIN)
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
    /// The model's chat template fails on this text.
    #[error("is refused by the model's chat template: {0}")]
    Template(String),
    /// The model's chat template has a place for pairs alone.
    #[error("is a text alone, and the model's chat template has places for pairs; send a pair of texts")]
    NoSingle,
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
    /// The same, cutting by itself; only for models of pairs and for places of tokens.
    cutting: Option<tokenizers::Tokenizer>,
    /// How queries are made; `None` if as documents.
    queries: Option<Queries>,
    /// The token of words that the vocabulary lacks.
    unknown: Option<u32>,
    /// Tokens that go on with a word have a mark, such as `##`.
    marks_rest: bool,
    /// What makes one text of a request's texts.
    chat: Option<Chat>,
    /// Whether that has a place for a text alone.
    takes_single: bool,
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
        let marks_rest = match inner.get_model() {
            ModelWrapper::WordPiece(model) => !model.continuing_subword_prefix.is_empty(),
            ModelWrapper::BPE(model) => model.continuing_subword_prefix.as_ref().is_some_and(|mark| !mark.is_empty()),
            _ => false,
        };
        Ok(Self {
            inner,
            max_tokens,
            special,
            vocabulary,
            side,
            named,
            token_types: true,
            cutting: None,
            queries: None,
            unknown: None,
            marks_rest,
            chat: None,
            takes_single: true,
        })
    }

    /// The tokenizer that [`resolve`] found.
    pub fn resolved(resolved: &Resolved, max_tokens: usize, vocabulary: usize) -> Result<Self, String> {
        let json = serde_json::to_vec(&resolved.json).map_err(|error| error.to_string())?;
        let mut tokenizer = Self::new(&json, max_tokens, vocabulary)?;
        tokenizer.append(&resolved.lacking)?;
        tokenizer.inner.set_encode_special_tokens(resolved.special_is_text);
        tokenizer.token_types = resolved.token_types;
        tokenizer.named = resolved.special.iter().filter_map(|token| tokenizer.inner.token_to_id(token)).collect();
        tokenizer.unknown = resolved.named.get("unk_token").and_then(|token| tokenizer.inner.token_to_id(token));
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

    /// Appends special tokens, as long as the model has rows for them.
    fn append(&mut self, lacking: &[tokenizers::AddedToken]) -> Result<(), String> {
        for token in lacking {
            let before = self.inner.clone();
            self.inner.add_special_tokens([token.clone()]).map_err(|error| error.to_string())?;
            if self.id(&token.content).is_none_or(|id| id as usize >= self.vocabulary) {
                self.inner = before;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Most tokens of a text, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Ids below this are known.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Prepares for queries. Refused if they have no room for the special tokens of a text.
    pub fn for_queries(self, queries: Queries) -> Result<Self, String> {
        if queries.max_tokens <= self.special {
            return Err(format!(
                "it adds {} tokens to every text, and a query has {}",
                self.special, queries.max_tokens
            ));
        }
        Ok(Self { queries: Some(queries), ..self })
    }

    /// Makes one token of each text, or else of its first word, if the vocabulary has it and it would be torn apart. So
    /// sentence-transformers reads markers that were put before the tokens in training, such as `[unused0]`.
    pub fn whole(mut self, texts: &[String]) -> Result<Self, String> {
        let mut torn = Vec::new();
        for text in texts {
            let Some(word) = text.split_whitespace().next() else { continue };
            let Some(token) = [text.as_str(), word].into_iter().find(|token| self.id(token).is_some()) else {
                continue;
            };
            let pieces = self.inner.encode(token, false).map_err(|error| error.to_string())?;
            if pieces.get_tokens() != [token] {
                torn.push(tokenizers::AddedToken::from(token, true).normalized(false));
            }
        }
        self.inner.add_special_tokens(torn).map_err(|error| error.to_string())?;
        Ok(self)
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
        self.within(self.max_tokens, text, truncate)
    }

    /// Tokenizes a query; one that is too long is cut at one end, or refused.
    pub fn query(&self, text: &str, truncate: bool) -> Result<Encoded, Refused> {
        let Some(Queries { max_tokens, fill }) = self.queries else {
            return self.text(text, truncate).map(Encoded::into_query);
        };
        let query = self.within(max_tokens, text, truncate)?.into_query();
        Ok(match fill {
            Some(fill) => query.filled(fill),
            None => query,
        })
    }

    fn within(&self, limit: usize, text: &str, truncate: bool) -> Result<Encoded, Refused> {
        let (mut encoding, bytes) = self.start(text, limit, truncate)?;
        let tokens = encoding.len() + self.special;
        if tokens > limit && !truncate {
            let whole = bytes == text.len();
            return Err(Refused::TooManyTokens { tokens, whole, limit });
        }
        // Cut before the special tokens are added, so that those stay at the ends.
        encoding.truncate(limit - self.special, 0, self.side);
        let encoding = self.inner.post_process(encoding, None, true).map_err(|_| Refused::Tokenizer)?;
        let ids = encoding.get_ids();
        if ids.is_empty() { Err(Refused::Empty) } else { Ok(Encoded::single(ids.to_vec())) }
    }

    /// Tokenizes a pair of texts; one that is too long is cut at its longer text, or refused.
    pub fn pair(&self, first: &str, second: &str, truncate: bool) -> Result<Encoded, Refused> {
        let encoding = match &self.cutting {
            Some(cutting) if truncate => cutting.encode_fast((first, second), true).map_err(|_| Refused::Tokenizer)?,
            _ => {
                let ((one, _), (two, bytes)) =
                    (self.start(first, self.max_tokens, false)?, self.start(second, self.max_tokens, false)?);
                let special = self.special_of_pair();
                let tokens = one.len() + two.len() + special;
                if tokens > self.max_tokens {
                    let whole = bytes == second.len();
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
        let seen = ids.len();
        Ok(Encoded { ids, second, skipped: 0, seen, is_query: false })
    }

    fn special_of_pair(&self) -> usize {
        self.inner.get_post_processor().map_or(0, |post| tokenizers::PostProcessor::added_tokens(post, true))
    }

    /// Prepares for pairs, which the library itself cuts: which of two texts loses a token depends on how far it reads a
    /// text that is too long.
    pub fn for_pairs(self) -> Result<Self, String> {
        if self.max_tokens <= self.special_of_pair() {
            return Err(format!(
                "it adds {} tokens to a pair, and the model takes {}",
                self.special_of_pair(),
                self.max_tokens
            ));
        }
        self.for_pieces()
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

    /// Tokenizes a text, or of a long one as much from its start as decides the tokens that count; says how many bytes that
    /// is. A text of 8 MB would otherwise take seconds, of which a few hundred tokens are kept.
    fn start(&self, text: &str, limit: usize, truncate: bool) -> Result<(tokenizers::Encoding, usize), Refused> {
        let encode = |part: &str| self.inner.encode_fast(part, false).map_err(|_| Refused::Tokenizer);
        let mut bytes = first_part(limit);
        // The end of a text that is cut at its start is known only when all of it is tokenized.
        let from_start = !truncate || self.side == TruncationDirection::Right;
        while from_start && bytes < text.len() {
            let cut = text.floor_char_boundary(bytes);
            // At a blank, if one is near: no word is torn apart there.
            let near = text.floor_char_boundary(cut - MARGIN / 2);
            let cut = text[near..cut].rfind(char::is_whitespace).map_or(cut, |blank| near + blank);
            let part = self.inner.encode(&text[..cut], false).map_err(|_| Refused::Tokenizer)?;
            let last = limit.saturating_sub(self.special);
            if part.get_offsets().get(last).is_some_and(|(_, end)| end + MARGIN / 2 <= cut) {
                return Ok((part, cut));
            }
            bytes = bytes.saturating_mul(2);
        }
        Ok((encode(text)?, text.len()))
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
mod tests;
