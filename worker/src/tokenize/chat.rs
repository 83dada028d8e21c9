//! The tokens of messages, in a model whose texts go through a chat template.

use super::{Encoded, Refused, Tokenizer};
use crate::chat::{Chat, Message, Role};

/// What stands for the texts of a request where only the template's own end is looked for. They end with different tokens.
const FILLERS: [&str; 2] = ["0", "1 2 3 4"];

impl Tokenizer {
    /// Prepares for messages.
    #[must_use]
    pub fn for_chat(self, chat: Chat) -> Self {
        let takes_single = chat.takes_single();
        Self { chat: Some(chat), takes_single, ..self }
    }

    /// The template that all texts go through.
    pub fn template(&self) -> Option<&Chat> {
        self.chat.as_ref()
    }

    /// Tokenizes messages; what is too long is cut at one end, or refused. The template writes the special tokens, so none is
    /// added. Where the template's end was cut off, it is put over the last tokens, because the answer is read there
    /// (`_restore_chat_template_suffix` of sentence-transformers).
    pub fn messages(&self, chat: &Chat, messages: &[Message<'_>], truncate: bool) -> Result<Encoded, Refused> {
        let pair = messages.iter().any(|message| message.role == Role::Document);
        if !pair && !self.takes_single {
            return Err(Refused::NoSingle);
        }
        let text = chat.render(messages).map_err(Refused::Template)?;
        let limit = self.max_tokens;
        // `start` leaves room for special tokens.
        let (mut encoding, bytes) = self.start(&text, limit.saturating_add(self.special), truncate)?;
        let tokens = encoding.len();
        if tokens > limit && !truncate {
            return Err(Refused::TooManyTokens { tokens, whole: bytes == text.len(), limit });
        }
        encoding.truncate(limit, 0, self.side);
        let mut ids = encoding.get_ids().to_vec();
        if ids.is_empty() {
            return Err(Refused::Empty);
        }
        if chat.restores() && ids.len() >= limit {
            let end = self.end_of(chat, messages);
            let kept = end.len().min(ids.len());
            let from = ids.len() - kept;
            ids[from..].copy_from_slice(&end[end.len() - kept..]);
        }
        Ok(Encoded::single(ids))
    }

    /// The tokens at the end that are the template's own: those that stay the same with other texts. A prompt is the template's own
    /// here. There are none if the template does not take such texts, or writes nothing of them.
    fn end_of(&self, chat: &Chat, messages: &[Message<'_>]) -> Vec<u32> {
        let filled = |filler| {
            let mut filled = messages.to_vec();
            let texts = filled.iter_mut().filter(|message| message.role != Role::System);
            texts.for_each(|message| message.text = filler);
            let text = chat.render(&filled).ok()?;
            Some(self.inner.encode_fast(text, false).ok()?.get_ids().to_vec())
        };
        let [Some(one), Some(other)] = FILLERS.map(filled) else { return Vec::new() };
        let same = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
        if same < one.len().min(other.len()) { one[one.len() - same..].to_vec() } else { Vec::new() }
    }
}
