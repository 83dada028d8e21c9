//! Tokens with their places in the text, and the words that they are parts of, as the pipeline `token-classification` of transformers
//! sees them.

use tokenizers::{TruncationParams, TruncationStrategy};

use super::{Refused, Tokenizer, first_part};

/// A token of a text as the network gets it, with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name in the vocabulary; for a word that the vocabulary lacks, that word.
    pub text: String,
    /// First character of it in the text.
    pub start: usize,
    /// The character after it.
    pub end: usize,
    /// Whether the tokenizer added it.
    pub special: bool,
    /// Whether it goes on with the word of the token before it.
    pub is_rest: bool,
}

impl Tokenizer {
    /// Prepares for places of tokens. The library itself must cut then: some tokenizers move the places when special tokens are
    /// added, and would move them twice.
    pub fn for_pieces(mut self) -> Result<Self, String> {
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

    /// The tokens of a text as [`Tokenizer::text`] gives them, cut where it is too long, with their places. Needs
    /// [`Tokenizer::for_pieces`].
    pub fn pieces(&self, text: &str) -> Result<Vec<Piece>, Refused> {
        let cutting = self.cutting.as_ref().ok_or(Refused::Tokenizer)?;
        let text = if text.len() <= first_part(self.max_tokens) {
            text
        } else {
            &text[..self.start(text, self.max_tokens, true)?.1]
        };
        let encoding = cutting.encode_char_offsets(text, true).map_err(|_| Refused::Tokenizer)?;
        let characters: Vec<char> = text.chars().collect();
        let parts = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_special_tokens_mask());
        let piece = |((id, (start, end)), special): ((&u32, &(usize, usize)), &u32)| {
            self.piece(*id, &characters, (*start, *end), *special == 1)
        };
        Ok(parts.map(piece).collect())
    }

    fn piece(&self, id: u32, text: &[char], (start, end): (usize, usize), special: bool) -> Piece {
        let name = self.inner.id_to_token(id).unwrap_or_default();
        let written: String = text.get(start..end).unwrap_or_default().iter().collect();
        if self.unknown == Some(id) {
            return Piece { text: written, start, end, special, is_rest: false };
        }
        let is_rest = if self.marks_rest {
            name.chars().count() != end.saturating_sub(start)
        } else {
            start > 0 && !text.get(start - 1..text.len().min(start + 1)).unwrap_or_default().contains(&' ')
        };
        Piece { text: name, start, end, special, is_rest }
    }

    /// One string of tokens, as the tokenizer writes them.
    pub fn joined(&self, tokens: Vec<String>) -> String {
        let plain = tokens.join(" ");
        match self.inner.get_decoder() {
            Some(decoder) => tokenizers::Decoder::decode(decoder, tokens).unwrap_or(plain),
            None => plain,
        }
    }
}
