//! `status.children`: every object that a model needs, and what became of it.

use belfry_crds::condition::Reason;
use belfry_crds::status::{ChildState, ChildStatus};

use super::refusal;
use crate::apply::{Refusal, RefusalCause};
use crate::children;
use crate::children::meta::HASH_ANNOTATION;
use crate::validate::ValidModel;

/// The objects of a model, in the order in which they are applied.
pub(super) fn children(model: &ValidModel, refused: &[Refusal]) -> Vec<ChildStatus> {
    // Serialization of plain data does not fail; a status without the list would still be right in the rest.
    let wanted = children::children(model).into_list(model).unwrap_or_default();
    wanted
        .into_iter()
        .filter_map(|child| {
            let hash = child.object?.metadata.annotations?.remove(HASH_ANNOTATION)?;
            let refusal = refused.iter().find(|refusal| refusal.kind == child.kind && refusal.name == child.name);
            let state = match refusal.map(|refusal| &refusal.cause) {
                None => ChildState::Applied,
                Some(RefusalCause::KindMissing) => ChildState::Missing,
                Some(RefusalCause::NameConflict | RefusalCause::Api { .. }) => ChildState::Refused,
            };
            Some(ChildStatus {
                group: child.kind.api_resource().group,
                kind: child.kind.as_str().into(),
                name: child.name,
                hash,
                state,
                reason: refusal.map(|refusal| refusal::reason(&refusal.cause)).map(Reason::as_str).map(Into::into),
            })
        })
        .collect()
}
