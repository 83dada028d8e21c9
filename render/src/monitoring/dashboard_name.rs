//! Names of a model's dashboard, which links use.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::model::ValidModel;

/// The dashboard's address in Grafana: at most 40 characters, unique for each model.
pub(super) fn uid(model: &ValidModel) -> String {
    let digest = Sha256::digest(format!("{}/{}", model.namespace, model.name));
    digest.iter().take(12).fold("belfry-".to_owned(), |mut uid, byte| {
        // Writing to a String can't fail.
        let _ = write!(uid, "{byte:02x}");
        uid
    })
}

/// The dashboard's key in its ConfigMap. A dot stands in no name of a namespace or of a model, so that no two models share a key:
/// with a hyphen `a` in `team-b` and `b-a` in `team` would.
pub(super) fn file(model: &ValidModel) -> String {
    format!("{}.{}.model.json", model.namespace, model.name)
}
