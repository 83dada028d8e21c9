//! Names and hashes of the children that a model should have, kept so that a pass which changes
//! nothing renders nothing.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use belfry_render::children::{Child, child};
use belfry_render::kind::ChildKind;
use belfry_render::model::ValidModel;

/// What is remembered for one state of a model. Another specification has another `Wanted`.
#[derive(Debug, Default)]
pub struct Wanted {
    children: Mutex<BTreeMap<ChildKind, Summary>>,
}

/// A child without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Name of the object.
    pub name: String,
    /// Hash of its content; `None` when it must not exist.
    pub hash: Option<String>,
}

impl Wanted {
    /// The summary of a kind, and the child too when it had to be rendered for that.
    ///
    /// # Errors
    /// As [`child`].
    pub fn summary(&self, kind: ChildKind, model: &ValidModel) -> Result<(Summary, Option<Child>), serde_json::Error> {
        if let Some(known) = self.children.lock().get(&kind) {
            return Ok((known.clone(), None));
        }
        let child = child(kind, model)?;
        Ok((self.remember(&child), Some(child)))
    }

    /// Remembers a child that was rendered.
    pub fn remember(&self, child: &Child) -> Summary {
        let summary = Summary { name: child.name.clone(), hash: child.hash().map(str::to_owned) };
        self.children.lock().insert(child.kind, summary.clone());
        summary
    }
}
