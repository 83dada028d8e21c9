//! The children of a model → the cluster, by server-side apply under one field manager.
//!
//! A child is sent only when it differs from what the cache knows: an apply that changes nothing
//! would still be a request (invariant 2).

mod disputes;
mod handover;
mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use belfry_crds::condition::{self, ConditionType, Reason};
use belfry_crds::status::ChildState;
use tracing::info;

pub use disputes::{Dispute, Disputes};
pub use handover::HANDOVER_MANAGER;

use crate::drift::{Desired, Drift, Summary};
use crate::observe::{DeploymentState, LiveChild, ModelKey, Observed};
use belfry_render::children::metadata::ContentHash;
use belfry_render::role::Role;
use requests::{ChildRequests, Failure};

/// What became of the children.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Every role with the name and the hash of its child, in the order in which they are applied.
    pub wanted: Vec<(Role, Summary)>,
    /// Roles whose children were written in this pass.
    pub written: Vec<Role>,
    /// Children that the API server refused, or that have another owner.
    pub refused: Vec<Refusal>,
    /// The Deployment as the API server returned it, when it was written.
    pub deployment: Option<DeploymentState>,
    /// Children that another manager changes again and again.
    pub disputes: Vec<Dispute>,
    /// The status names a dispute that an earlier operator saw, and it is not known to be over.
    pub is_dispute_inherited: bool,
    /// Time until another pass has something to do that no watch will show: a child whose turn comes, or a dispute that ends.
    pub again_in: Option<Duration>,
}

/// A child that could not be applied, although the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the child is for.
    pub role: Role,
    /// Name of the child.
    pub name: String,
    /// What stands in the way.
    pub cause: RefusalCause,
}

/// Why a child could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// The object exists, and another owner or none controls it.
    NameConflict,
    /// The API server said no.
    Api {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The cluster does not know the kind.
    KindMissing,
}

/// Why a pass could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server can't be reached, or asks for patience; the pass is to be repeated.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// A child could not be written as JSON, which a test rules out.
    #[error("a child can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Applies the children of a model, in their order. A refused child does not keep the others back.
///
/// # Errors
/// See [`Error`].
pub async fn apply(desired: &Desired, observed: &Observed, context: &Context<'_>) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    let (model, requests) = (&desired.model, ChildRequests { model: &desired.model, context });
    for role in Role::ALL.iter().copied() {
        let kind = role.kind();
        let (wanted, rendered) = context.drift.summary(context.key, role, desired)?;
        applied.wanted.push((role, wanted.clone()));
        let refuse = |cause| Refusal { role, name: wanted.name.clone(), cause };
        if observed.missing_kinds.contains(&kind) {
            applied.refused.extend(wanted.hash.is_some().then(|| refuse(RefusalCause::KindMissing)));
            continue;
        }
        let live = observed.children.get(&role);
        let first = plan(wanted.hash, live, &model.uid);
        let is_set_back = first != Plan::Keep && was_applied(&wanted, role, observed);
        if is_set_back && let Some(wait) = context.disputes.wait(context.key, role, Instant::now()) {
            applied.wake(wait);
            continue;
        }
        let plan = match first {
            Plan::Look => match requests.look(kind, &wanted.name, observed).await {
                Ok(live) => plan(wanted.hash, live.as_ref(), &model.uid),
                Err(Failure::Refused(cause)) => {
                    applied.refused.push(refuse(cause));
                    continue;
                }
                Err(Failure::Transient(error)) => return Err(error.into()),
            },
            decided => decided,
        };
        if plan == Plan::Keep {
            continue;
        }
        let child = rendered.map_or_else(|| context.drift.render(role, desired), Ok)?;
        // Asked before the write, which takes the fields from the other manager.
        let is_near = is_set_back && context.disputes.is_near(context.key, role);
        let rival = if is_near { requests.rival(kind, &wanted.name).await } else { None };
        match requests.carry_out(plan, child).await {
            Ok(deployment) => {
                if is_set_back {
                    context.disputes.set_back(context.key, (role, &wanted.name), rival, Instant::now());
                }
                let (kind_name, name) = (kind.as_str(), &wanted.name);
                info!(model = %context.key, kind = kind_name, name, ?plan, cause = %context.cause, "Wrote a child");
                applied.written.push(role);
                applied.deployment = applied.deployment.or(deployment);
            }
            Err(Failure::Refused(cause)) => applied.refused.push(refuse(cause)),
            Err(Failure::Transient(error)) => return Err(error.into()),
        }
    }
    applied.look_for_disputes(observed, context);
    Ok(applied)
}

impl Applied {
    fn look_for_disputes(&mut self, observed: &Observed, context: &Context<'_>) {
        let now = Instant::now();
        self.disputes = context.disputes.of(context.key, now);
        let mut ends_in = self.disputes.iter().map(|dispute| dispute.ends_in).min();
        if self.disputes.is_empty() && is_contested(observed) {
            ends_in = context.disputes.inherited(context.key, now);
            self.is_dispute_inherited = ends_in.is_some();
        }
        if let Some(ends_in) = ends_in {
            // A moment later, so that it has ended.
            self.wake(ends_in + Duration::from_secs(1));
        }
    }

    fn wake(&mut self, pause: Duration) {
        self.again_in = Some(self.again_in.map_or(pause, |earlier| earlier.min(pause)));
    }
}

/// Whether the status says that another manager changes children.
fn is_contested(observed: &Observed) -> bool {
    let conditions = observed.model.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    condition::find(conditions, ConditionType::Reconciled)
        .is_some_and(|found| found.reason == Reason::Contested.as_str())
}

/// Whether the status says that just this child was applied, so that a difference is the work of others.
fn was_applied(wanted: &Summary, role: Role, observed: &Observed) -> bool {
    let children = observed.model.status.iter().flat_map(|status| &status.children);
    let kind = role.kind().as_str();
    let mut applied = children.filter(|child| child.state == ChildState::Applied);
    let hash = wanted.hash.map(|hash| hash.to_string());
    applied.any(|child| child.kind == kind && child.name == wanted.name && Some(&child.hash) == hash.as_ref())
}

/// What the requests need.
pub struct Context<'a> {
    /// Connection to the API server.
    pub client: &'a kube::Client,
    /// Where the answers are noted, so that the next pass need not wait for the watch.
    pub cache: &'a Arc<crate::observe::Cache>,
    /// What the children should look like.
    pub drift: &'a Drift,
    /// The operator's metrics.
    pub metrics: &'a crate::metrics::Metrics,
    /// Which children are changed again and again.
    pub disputes: &'a Disputes,
    /// Why the pass began, for the log.
    pub cause: crate::observe::Cause,
    /// The model.
    pub key: &'a ModelKey,
}

/// What has to be done about a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Keep,
    /// The object was changed by another client, and was not read since.
    Look,
    /// The cache shows no managed object of the name; there may still be a foreign one.
    Create,
    Apply,
    Delete,
    Conflict,
}

fn plan(wanted: Option<ContentHash>, live: Option<&LiveChild>, owner: &str) -> Plan {
    match (wanted, live) {
        (None, None) => Plan::Keep,
        (Some(_), None) => Plan::Create,
        (Some(_), Some(live)) if live.owner.as_deref() != Some(owner) => Plan::Conflict,
        (Some(hash), Some(live)) if live.holds == Some(hash) => Plan::Keep,
        (Some(hash), Some(live)) if live.claims == Some(hash) => Plan::Look,
        (Some(_), Some(_)) => Plan::Apply,
        (None, Some(live)) if live.owner.as_deref() == Some(owner) => Plan::Delete,
        (None, Some(_)) => Plan::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(content: &str) -> Option<ContentHash> {
        Some(ContentHash::of(&content.into()))
    }

    fn live(owner: Option<&str>, holds: Option<ContentHash>) -> LiveChild {
        let mut live = LiveChild::default();
        (live.owner, live.holds) = (owner.map(Into::into), holds);
        live
    }

    #[test]
    fn an_object_that_holds_what_is_wanted_is_kept() {
        assert_eq!(plan(hash("h"), Some(&live(Some("u"), hash("h"))), "u"), Plan::Keep);
    }

    #[test]
    fn an_edited_object_and_one_of_an_older_specification_are_applied_again() {
        assert_eq!(plan(hash("h"), Some(&live(Some("u"), None)), "u"), Plan::Apply);
        assert_eq!(plan(hash("h"), Some(&live(Some("u"), hash("older"))), "u"), Plan::Apply);
    }

    #[test]
    fn an_object_that_only_claims_to_hold_what_is_wanted_is_looked_at() {
        let mut unread = live(Some("u"), None);
        unread.claims = hash("h");
        assert_eq!(plan(hash("h"), Some(&unread), "u"), Plan::Look);
        assert_eq!(plan(hash("newer"), Some(&unread), "u"), Plan::Apply);
        assert_eq!(plan(None, Some(&unread), "u"), Plan::Delete);
        assert_eq!(plan(hash("h"), Some(&unread), "another"), Plan::Conflict);
    }

    #[test]
    fn an_object_of_another_owner_is_left_alone() {
        for owner in [None, Some("other")] {
            assert_eq!(plan(hash("h"), Some(&live(owner, None)), "u"), Plan::Conflict);
            assert_eq!(plan(None, Some(&live(owner, None)), "u"), Plan::Keep);
        }
    }

    #[test]
    fn a_child_that_is_no_longer_wanted_is_deleted_once() {
        assert_eq!(plan(None, Some(&live(Some("u"), hash("h"))), "u"), Plan::Delete);
        assert_eq!(plan(None, None, "u"), Plan::Keep);
    }
}
