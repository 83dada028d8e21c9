//! The token ids of a text, and how a query's are made.

use super::Refused;

/// Token ids of one text: at least one, at most as many as the model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub(super) ids: Vec<u32>,
    /// First token of type 1; all before it are of type 0.
    pub(super) second: usize,
    pub(super) skipped: usize,
    /// Tokens that the others see, from the start on.
    pub(super) seen: usize,
    pub(super) is_query: bool,
}

/// How queries are made, where they are not made as documents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queries {
    /// Most tokens of a query, special tokens included, before it is filled up.
    pub max_tokens: usize,
    /// What fills a query up.
    pub fill: Option<Fill>,
}

/// Tokens that fill a query up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The token, by its id.
    pub token: u32,
    /// Tokens of a filled query.
    pub length: usize,
    /// Whether other tokens see those that fill it up.
    pub seen: bool,
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

    pub(super) fn single(ids: Vec<u32>) -> Self {
        let length = ids.len();
        Self { ids, second: length, skipped: 0, seen: length, is_query: false }
    }

    /// Tokens that the others see, from the start on; those after them see and are not seen.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether this is a query, where documents have other vectors.
    pub fn is_query(&self) -> bool {
        self.is_query
    }

    /// The same as a query.
    #[must_use]
    pub fn into_query(self) -> Self {
        Self { is_query: true, ..self }
    }

    /// Adds tokens up to a length.
    pub(super) fn filled(mut self, fill: Fill) -> Self {
        self.ids.resize(self.ids.len().max(fill.length), fill.token);
        self.second = self.ids.len();
        if fill.seen {
            self.seen = self.ids.len();
        }
        self
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
