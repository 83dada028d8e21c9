//! Specification, pods and the outcome of the pass → [`InferenceModelStatus`].
//!
//! Pure, with the time passed in. Every condition is computed from scratch. Of the previous status times of transition
//! stay, what can't be computed while a specification is refused, and what has to outlive a pass (`kept`).

mod children;
mod conditions;
mod monitoring;
mod refusal;
mod scaling;

use std::collections::BTreeMap;

use belfry_crds::InferenceModelStatus;
use belfry_crds::condition::{self, ConditionType};
use belfry_crds::status::{LastFailure, LoadedModel, ModelStatus, RuntimeStatus, Upgrade};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

pub use conditions::Verdict;
pub use scaling::{ScalingFacts, left_behind, released};

use crate::apply::Applied;
use crate::evaluation::Evaluated;
use crate::loaded::{Identities, Identity};
use crate::observe::{DeploymentState, PodReport, Selection};
use belfry_render::children::{metadata, service};
use belfry_render::model::{ValidModel, ValidSource};
use belfry_render::problem::Problem;
use belfry_render::template::TemplateRevision;

/// Most entries of `status.model.loaded`.
const MOST_LOADED: usize = 8;

/// How a pass ended.
#[derive(Clone, Debug)]
pub enum Pass {
    /// The specification has problems; the children were left as they are.
    Invalid(Vec<Problem>),
    /// The children were applied, or some of them were refused.
    Applied {
        /// The model that they were built from.
        model: Box<ValidModel>,
        /// What became of them.
        applied: Box<Applied>,
    },
}

/// What a status is computed from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Generation of the specification.
    pub generation: Option<i64>,
    /// How the pass ended.
    pub pass: &'a Pass,
    /// The Deployment, as it is after the pass.
    pub deployment: Option<&'a DeploymentState>,
    /// What is known of the scaler.
    pub scaling: &'a ScalingFacts,
    /// What the pods say.
    pub pods: &'a [PodReport],
    /// Who selects the monitoring objects.
    pub selection: Selection,
    /// What a Prometheus says of the rules and the targets.
    pub evaluated: Evaluated,
    /// What the workers say that they have loaded, by the name of their pod; `None` while an answer is awaited.
    pub identities: Option<Identities>,
}

/// The status of a model.
#[must_use]
pub fn status(facts: &Facts<'_>, previous: Option<&InferenceModelStatus>, now: Timestamp) -> InferenceModelStatus {
    let rollout = facts.deployment.map(|deployment| deployment.status.clone()).unwrap_or_default();
    let old = previous.map(|p| p.conditions.as_slice()).unwrap_or_default();
    let loaded_models = loaded(facts, previous.and_then(|previous| previous.model.as_ref()));
    let conditions = conditions::all(facts, &loaded_models, old)
        .into_iter()
        .map(|(type_, verdict)| finished(type_, verdict, facts.generation, condition::find(old, type_), now))
        .collect();
    let model = match facts.pass {
        Pass::Applied { model, .. } => Some(model.as_ref()),
        Pass::Invalid(_) => None,
    };
    let kept = previous.cloned().unwrap_or_default();
    InferenceModelStatus {
        observed_generation: facts.generation,
        conditions,
        replicas: rollout.replicas.unwrap_or(0),
        ready_replicas: rollout.ready_replicas.unwrap_or(0),
        loaded: model.map_or(kept.loaded, |model| {
            // A worker that was started with a digest serves that model or none.
            let is_wanted = |pod: &&PodReport| model.sha256.is_none() || pod.sha256 == model.sha256;
            let loaded =
                facts.pods.iter().filter(|pod| pod.is_ready && pod.is_here_to_stay()).filter(is_wanted).count();
            Some(format!("{loaded}/{}", scaling::wanted(model, facts.deployment)))
        }),
        scaled_replicas: model.map_or(kept.scaled_replicas, |model| {
            scaling::scaled_replicas(model, facts.deployment, kept.scaled_replicas)
        }),
        scaled_by: scaling::scaled_by(&facts.scaling.foreign),
        selector: model.map_or(kept.selector, |model| Some(metadata::selector_text(model))),
        endpoint: model.map_or(kept.endpoint, |model| Some(service::endpoint(model))),
        model: model.map_or(kept.model, |model| {
            Some(ModelStatus {
                requested: requested(&model.source),
                sha256: model.sha256.clone(),
                loaded: loaded_models,
            })
        }),
        runtime: model.map_or(kept.runtime.clone(), |model| Some(runtime(model, kept.runtime.as_ref()))),
        last_failure: facts.pods.iter().filter(|pod| pod.is_here_to_stay()).find_map(|pod| last_failure(pod, model)),
        children: match facts.pass {
            Pass::Applied { applied, .. } => children::children(&applied.wanted, &applied.refused),
            Pass::Invalid(_) => kept.children,
        },
    }
}

/// Models that the replicas have in memory, most replicas first. What was known stays until every answer is there, so that
/// an operator that starts writes nothing.
fn loaded(facts: &Facts<'_>, previous: Option<&ModelStatus>) -> Vec<LoadedModel> {
    let Some(identities) = &facts.identities else {
        return previous.map(|previous| previous.loaded.clone()).unwrap_or_default();
    };
    let mut replicas: BTreeMap<&Identity, i32> = BTreeMap::new();
    let answering = facts.pods.iter().filter(|pod| pod.is_ready && pod.is_here_to_stay());
    for identity in answering.filter_map(|pod| identities.get(&pod.name)) {
        *replicas.entry(identity).or_default() += 1;
    }
    let entry = |(identity, replicas): (&Identity, i32)| LoadedModel {
        sha256: identity.digest.clone(),
        revision: Some(identity.revision.clone()).filter(|revision| !revision.is_empty()),
        replicas,
    };
    let mut loaded: Vec<_> = replicas.into_iter().map(entry).collect();
    loaded.sort_by_key(|model| -model.replicas);
    loaded.truncate(MOST_LOADED);
    loaded
}

fn requested(source: &ValidSource) -> String {
    match source {
        ValidSource::Pvc { claim_name, path } if path.is_empty() => format!("pvc/{claim_name}"),
        ValidSource::Pvc { claim_name, path } => format!("pvc/{claim_name}/{path}"),
        // A folder of an image is written as `docker cp` takes it.
        ValidSource::Oci { image, path, .. } if path.is_empty() => image.clone(),
        ValidSource::Oci { image, path, .. } => format!("{image}:/{path}"),
        ValidSource::S3(bucket, _) => bucket.uri.clone(),
        ValidSource::HuggingFace(hub, _) => format!("{}@{}", hub.repo, hub.revision),
    }
}

fn runtime(model: &ValidModel, previous: Option<&RuntimeStatus>) -> RuntimeStatus {
    let runtime = &model.runtime;
    let mut next = RuntimeStatus {
        image: runtime.image.clone(),
        default_image: runtime.default_image.clone(),
        template_revision: runtime.template_revision.as_str().into(),
        available_template_revision: TemplateRevision::NEWEST.as_str().into(),
        available_default_image: runtime.available_image.clone(),
        upgrade: if model.is_behind() { Upgrade::Available } else { Upgrade::UpToDate },
        moved_from: None,
    };
    let pin = |status: &RuntimeStatus| (status.template_revision.clone(), status.default_image.clone());
    next.moved_from = previous.filter(|p| pin(p) == pin(&next)).and_then(|p| p.moved_from.clone());
    next
}

fn last_failure(pod: &PodReport, model: Option<&ValidModel>) -> Option<LastFailure> {
    let failure = pod.failure.as_ref()?;
    let is_own_image = model.is_some_and(|model| *pod.image == *model.runtime.default_image);
    Some(LastFailure {
        reason: failure.reason.as_str().into(),
        message: failure.words.repeated(is_own_image),
        pod: pod.name.clone(),
        exit_code: failure.exit_code,
    })
}

/// A condition with its time of transition, which moves only with the status.
fn finished(
    type_: ConditionType,
    verdict: Verdict,
    generation: Option<i64>,
    previous: Option<&Condition>,
    now: Timestamp,
) -> Condition {
    let status = verdict.status.as_str();
    let since = previous.filter(|p| p.status == status).map(|p| p.last_transition_time.clone());
    Condition {
        type_: type_.as_str().into(),
        status: status.into(),
        reason: verdict.reason.as_str().into(),
        message: verdict.message,
        observed_generation: generation,
        last_transition_time: since.unwrap_or(Time(now)),
    }
}

#[cfg(test)]
mod tests;
