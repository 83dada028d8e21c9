//! `status.objects`: every object that a model needs, and what became of it.

use belfry_crds::condition::Reason;
use belfry_crds::status::{ChildState, ChildStatus};

use super::refusal;
use crate::apply::{Refusal, RefusalCause};
use crate::drift::Summary;
use belfry_render::role::Role;

/// The wanted objects, in the order in which they are applied.
pub(super) fn children(wanted: &[(Role, Summary)], refused: &[Refusal]) -> Vec<ChildStatus> {
    let status = |(role, summary): &(Role, Summary)| {
        let hash = summary.hash?.to_string();
        let refusal = refused.iter().find(|refusal| refusal.role == *role);
        let state = match refusal.map(|refusal| &refusal.cause) {
            None => ChildState::Applied,
            Some(RefusalCause::KindMissing) => ChildState::Missing,
            Some(RefusalCause::NameConflict | RefusalCause::Api { .. }) => ChildState::Refused,
        };
        Some(ChildStatus {
            group: role.kind().api_resource().group,
            kind: role.kind().as_str().into(),
            name: summary.name.clone(),
            hash,
            state,
            reason: refusal.map(|refusal| refusal::reason(&refusal.cause)).map(Reason::as_str).map(Into::into),
        })
    };
    wanted.iter().filter_map(status).collect()
}
