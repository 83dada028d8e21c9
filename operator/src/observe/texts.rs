//! Texts that many models share, kept once.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

/// Every text that is shared in this process. Who shares one need not know who else does.
static TEXTS: LazyLock<Texts> = LazyLock::new(Texts::default);

/// The kept text that equals this one; from now on this one, if there was none.
pub(super) fn share(text: &str) -> Arc<str> {
    TEXTS.share(text)
}

/// A set of texts. One that is in no use goes at the next sweep.
#[derive(Default)]
struct Texts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    texts: HashSet<Arc<str>>,
    /// Texts that the last sweep left.
    left: usize,
}

/// Below so many texts no sweep is worth its time.
const FEW: usize = 1000;

impl Texts {
    fn share(&self, text: &str) -> Arc<str> {
        let mut kept = self.0.lock();
        if let Some(known) = kept.texts.get(text) {
            return known.clone();
        }
        // A sweep looks at every text, and comes when they have doubled: each new text pays for two looks.
        if kept.texts.len() >= (2 * kept.left).max(FEW) {
            kept.texts.retain(|text| Arc::strong_count(text) > 1);
            kept.left = kept.texts.len();
        }
        let text = Arc::<str>::from(text);
        kept.texts.insert(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let texts = Texts::default();
        let (one, other) = (texts.share("Ready"), texts.share("Loading"));
        assert!(Arc::ptr_eq(&one, &texts.share("Ready")));
        assert_eq!((&*one, &*other), ("Ready", "Loading"));
    }

    #[test]
    fn a_text_that_is_in_no_use_goes() {
        let texts = Texts::default();
        let used: Vec<_> = (0..FEW / 2).map(|number| texts.share(&format!("used {number}"))).collect();
        for number in 0..10 * FEW {
            texts.share(&format!("passing {number}"));
            assert!(texts.0.lock().texts.len() <= 2 * FEW);
        }
        assert!(used.iter().all(|text| Arc::ptr_eq(text, &texts.share(text))));
    }
}
