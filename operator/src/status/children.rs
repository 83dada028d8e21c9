//! `status.children`: every object that a model needs, and what became of it.

use belfry_crds::condition::Reason;
use belfry_crds::status::{ChildState, ChildStatus};

use super::refusal;
use crate::apply::{Refusal, RefusalCause};
use crate::children::Child;
use crate::children::meta::HASH_ANNOTATION;

/// The wanted objects, in the order in which they are applied.
pub(super) fn children(wanted: Vec<Child>, refused: &[Refusal]) -> Vec<ChildStatus> {
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
