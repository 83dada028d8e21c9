//! Staged upgrades: which models move to the template and the image of this operator, and when.
//!
//! Pure, with the time passed in. What was moved stands in the status of each model, so that another
//! operator goes on where this one stopped. Whether a model answers well, and not only whether it
//! answers, its alerts know: where the installation names a Prometheus, those that fire stop the rest.

use std::collections::BTreeSet;

use belfry_crds::condition::{ConditionStatus, ConditionType, Reason, find};
use belfry_crds::status::{MovedFrom, RuntimeStatus, Upgrade};
use belfry_crds::{InferenceModel, InferenceModelStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::observe::ModelKey;
use belfry_render::settings::Settings;
use belfry_render::template::{Pin, Running, holds};

/// How fast models move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Models that may be on their way at the same time, at least 1.
    pub at_once: usize,
    /// Seconds that a moved model must be ready before it counts as arrived.
    pub soak_seconds: i64,
}

/// The models whose turn it is. None while one that moved does not answer, or is among those that burn: what broke it would
/// break the next.
#[must_use]
pub fn due<'a, M: AsRef<InferenceModel>>(
    models: &'a [M],
    policy: Policy,
    settings: &Settings,
    burning: &BTreeSet<ModelKey>,
    now: Timestamp,
) -> Vec<&'a InferenceModel> {
    let models: Vec<&InferenceModel> = models.iter().map(AsRef::as_ref).collect();
    let moved: Vec<_> = models.iter().filter(|model| is_moved(model, settings)).collect();
    let burns = |model: &InferenceModel| burning.contains(&ModelKey::of(model));
    if moved.iter().any(|model| !answers(model) || burns(model)) {
        return vec![];
    }
    let has_arrived = |model: &InferenceModel| has_no_pods(model) || is_ready_for(model, policy.soak_seconds, now);
    let under_way = moved.iter().filter(|model| !has_arrived(model)).count();
    let waiting = models.into_iter().filter(|model| is_waiting(model, settings) && !burns(model));
    waiting.take(policy.at_once.saturating_sub(under_way)).collect()
}

/// The status with which a model begins to move. The next pass makes the pods follow.
#[must_use]
pub fn moved(status: &InferenceModelStatus, settings: &Settings, now: Timestamp) -> InferenceModelStatus {
    let (mut next, newest) = (status.clone(), Pin::newest(settings));
    if let Some(runtime) = &mut next.runtime {
        let from = Running::of_status(runtime);
        runtime.moved_from = Some(MovedFrom { template_revision: from.revision, default_image: from.image });
        runtime.template_revision = newest.revision.as_str().into();
        runtime.default_image = newest.image;
        runtime.upgrade = Upgrade::UpToDate;
    }
    let ready = next.conditions.iter_mut().find(|condition| condition.type_ == ConditionType::Ready.as_str());
    if let Some(ready) = ready.filter(|ready| is_true(ready)) {
        ready.status = ConditionStatus::False.as_str().into();
        ready.reason = Reason::RollingOut.as_str().into();
        ready.message = "a staged upgrade moves the model to the template of this operator".into();
        ready.last_transition_time = Time(now);
    }
    next
}

/// Its turn may come: there is something newer, its user does not hold it where it is, and it was well before.
fn is_waiting(model: &InferenceModel, settings: &Settings) -> bool {
    let Some(runtime) = runtime(model) else { return false };
    let is_of_this_operator = runtime.available_default_image == settings.worker_image
        && runtime.available_template_revision == Pin::newest(settings).revision.as_str();
    is_of_this_operator && runtime.upgrade == Upgrade::Available && !is_held(model) && is_well(model)
}

/// Its user decides when it moves. Of a specification or a deletion that no pass has seen yet, nothing is known.
fn is_held(model: &InferenceModel) -> bool {
    let observed = model.status.as_ref().and_then(|status| status.observed_generation);
    let is_unseen = observed != model.metadata.generation || model.metadata.deletion_timestamp.is_some();
    is_unseen || holds(&model.spec)
}

/// A staged upgrade brought it where this operator would have it.
fn is_moved(model: &InferenceModel, settings: &Settings) -> bool {
    let Pin { revision, image } = Pin::newest(settings);
    let is_newest =
        |status: &RuntimeStatus| status.template_revision == revision.as_str() && status.default_image == image;
    runtime(model).is_some_and(|status| status.moved_from.is_some() && is_newest(status))
}

fn is_well(model: &InferenceModel) -> bool {
    has_no_pods(model) || condition(model, ConditionType::Ready).is_some_and(is_true)
}

fn is_ready_for(model: &InferenceModel, seconds: i64, now: Timestamp) -> bool {
    let since = condition(model, ConditionType::Ready).filter(|ready| is_true(ready));
    since.is_some_and(|ready| now.as_second() - ready.last_transition_time.0.as_second() >= seconds)
}

fn answers(model: &InferenceModel) -> bool {
    has_no_pods(model) || condition(model, ConditionType::Available).is_some_and(is_true)
}

/// It is wanted so: the model neither answers nor fails.
fn has_no_pods(model: &InferenceModel) -> bool {
    let reasons = [Reason::Suspended, Reason::ScaledToZero].map(Reason::as_str);
    condition(model, ConditionType::Ready).is_some_and(|ready| reasons.contains(&ready.reason.as_str()))
}

fn runtime(model: &InferenceModel) -> Option<&RuntimeStatus> {
    model.status.as_ref()?.runtime.as_ref()
}

fn condition(model: &InferenceModel, type_: ConditionType) -> Option<&Condition> {
    find(&model.status.as_ref()?.conditions, type_)
}

fn is_true(condition: &Condition) -> bool {
    condition.status == ConditionStatus::True.as_str()
}

#[cfg(test)]
mod tests;
