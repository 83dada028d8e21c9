//! Which objects a list named, so that those that it did not name are forgotten when it ends.

use std::collections::BTreeSet;

use super::ModelKey;

/// The names of one list that is being read.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Option<BTreeSet<(ModelKey, String)>>,
}

impl Listing {
    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.names = Some(BTreeSet::new());
    }

    /// The list, or the watch after it, named an object.
    pub(super) fn saw(&mut self, key: &ModelKey, name: &str) {
        if let Some(names) = &mut self.names {
            names.insert((key.clone(), name.to_owned()));
        }
    }

    /// The list is whole: what it named.
    pub(super) fn end(&mut self) -> BTreeSet<(ModelKey, String)> {
        self.names.take().unwrap_or_default()
    }
}
