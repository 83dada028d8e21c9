//! One function for each condition.

use belfry_crds::condition::{self, ConditionStatus, ConditionType, Reason};
use belfry_crds::status::LoadedModel;
use k8s_openapi::api::apps::v1::DeploymentStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Facts, Pass, monitoring, refusal};
use crate::apply::{Dispute, Refusal, RefusalCause};
use crate::observe::{Obstacle, PodReport, Stage};
use belfry_render::deployed::FromImage;
use belfry_render::model::{ValidModel, ValidSource};

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// For people: what, where, and what to do.
    pub message: String,
}

pub(super) fn verdict(status: ConditionStatus, reason: Reason, message: impl Into<String>) -> Verdict {
    Verdict { status, reason, message: message.into() }
}

use ConditionStatus::{False, True, Unknown};

/// Every condition, in the order of the status.
pub(super) fn all(
    facts: &Facts<'_>,
    loaded_models: &[LoadedModel],
    previous: &[Condition],
) -> Vec<(ConditionType, Verdict)> {
    let Pass::Applied { model, applied } = facts.pass else {
        return invalid(facts);
    };
    let rollout = Rollout::new(model, facts, loaded_models);
    let accepted = spec_accepted(model, facts, &applied.refused);
    let loaded = model_loaded(&rollout);
    let available = available(&rollout);
    let progressing = progressing(&rollout);
    let ready = ready(&rollout, &[&accepted, &loaded, &available, &progressing]);
    let (monitoring, watched) = monitoring::conditions(model, facts, &applied.refused, previous);
    let scaling = super::scaling::scaling_ready(model, facts.scaling, &applied.refused);
    let always = [
        (ConditionType::Ready, ready),
        (ConditionType::SpecAccepted, accepted),
        (ConditionType::ModelLoaded, loaded),
        (ConditionType::Available, available),
        (ConditionType::Progressing, progressing),
        (ConditionType::MonitoringReady, monitoring),
    ];
    let scaling = scaling.map(|verdict| (ConditionType::ScalingReady, verdict));
    let inherited = || applied.is_dispute_inherited.then(|| said_before(previous, ConditionType::Reconciled)).flatten();
    let contested = contested(&applied.disputes).or_else(inherited).map(|verdict| (ConditionType::Reconciled, verdict));
    always.into_iter().chain(scaling).chain(watched).chain(contested).collect()
}

/// Children that another manager changes again and again. Without a count, so that a round of the dispute writes no status.
fn contested(disputes: &[Dispute]) -> Option<Verdict> {
    let line = |Dispute { role, name, rival, .. }: &Dispute| {
        let (kind, name) = (role.kind().as_str(), name);
        match rival {
            Some(rival) => format!("{rival} changes {kind} {name} again and again"),
            None => format!("{kind} {name} is changed or deleted again and again"),
        }
    };
    let lines: Vec<_> = disputes.iter().map(line).collect();
    let what_to_do = "the operator sets it back, every 15 s at most: take the object out of the other manager, or say what it should be in the InferenceModel";
    (!lines.is_empty()).then(|| verdict(False, Reason::Contested, format!("{}; {what_to_do}", lines.join("; "))))
}

/// What the condition said before, word for word.
pub(super) fn said_before(previous: &[Condition], type_: ConditionType) -> Option<Verdict> {
    let Condition { status, reason, message, .. } = condition::find(previous, type_)?;
    let status = [True, False, Unknown].into_iter().find(|known| known.as_str() == status)?;
    let (reason, _) = Reason::all().into_iter().find(|(known, _)| known.as_str() == reason)?;
    Some(verdict(status, reason, message))
}

/// A specification with problems is not acted on: what runs goes on, and nothing is known of the rest.
fn invalid(facts: &Facts<'_>) -> Vec<(ConditionType, Verdict)> {
    let Pass::Invalid(problems) = facts.pass else { return vec![] };
    let message = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let serving = facts.pods.iter().filter(|pod| pod.is_ready).count();
    let available = match serving {
        0 => verdict(False, Reason::NoReplicaReady, "no replica answers"),
        n => verdict(True, Reason::ReplicasAvailable, format!("{n} replicas of an earlier specification answer")),
    };
    let rest = || verdict(Unknown, Reason::Invalid, "the specification is not accepted, and was not acted on");
    vec![
        (ConditionType::Ready, verdict(False, Reason::Invalid, message.clone())),
        (ConditionType::SpecAccepted, verdict(False, Reason::Invalid, message)),
        (ConditionType::ModelLoaded, rest()),
        (ConditionType::Available, available),
        (ConditionType::Progressing, rest()),
        (ConditionType::MonitoringReady, rest()),
    ]
}

/// The numbers of the Deployment, and what its pods say.
struct Rollout<'a> {
    model: &'a ValidModel,
    wanted: i32,
    is_suspended: bool,
    is_paused: bool,
    status: DeploymentStatus,
    /// The Deployment's controller has seen the specification that was applied.
    is_observed: bool,
    /// Those that are here to stay.
    pods: Vec<&'a PodReport>,
    /// A pod that its node refused, and the node's words.
    rejected: Option<(&'a PodReport, &'a str)>,
    /// Models that the replicas have in memory.
    loaded_models: &'a [LoadedModel],
}

impl<'a> Rollout<'a> {
    fn new(model: &'a ValidModel, facts: &'a Facts<'_>, loaded_models: &'a [LoadedModel]) -> Self {
        let status = facts.deployment.map(|d| d.status.clone()).unwrap_or_default();
        let generation = facts.deployment.and_then(|d| d.generation);
        let rejected = facts.pods.iter().find_map(|pod| match &pod.stage {
            Stage::Rejected(words) => Some((pod, words.as_str())),
            Stage::New | Stage::Taken | Stage::Ended => None,
        });
        Self {
            model,
            rejected,
            loaded_models,
            wanted: super::scaling::wanted(model, facts.deployment),
            is_suspended: model.is_suspended,
            is_paused: model.rollout.is_paused,
            is_observed: generation.is_some() && status.observed_generation >= generation,
            status,
            pods: facts.pods.iter().filter(|pod| pod.is_here_to_stay()).collect(),
        }
    }

    fn updated(&self) -> i32 {
        self.status.updated_replicas.unwrap_or(0)
    }

    fn available(&self) -> i32 {
        self.status.available_replicas.unwrap_or(0)
    }

    /// No pod of an older template is left.
    fn is_complete(&self) -> bool {
        self.is_observed && self.updated() >= self.wanted && self.status.replicas.unwrap_or(0) <= self.updated()
    }

    /// Why nothing is wanted, if that is so.
    fn nothing(&self) -> Option<(Reason, &'static str)> {
        match (self.wanted, self.is_suspended) {
            (0, true) => Some((Reason::Suspended, "spec.suspend is true: set it to false to serve again")),
            (0, false) => Some((Reason::ScaledToZero, "spec.replicas is 0")),
            _ => None,
        }
    }

    /// What keeps a pod from answering. That it loads is said last.
    fn worst(&self) -> Option<(Reason, String)> {
        let obstacle = |pod: &&PodReport| {
            let Obstacle { reason, words } = pod.obstacle.as_ref()?;
            let words = words.repeated(*pod.image == *self.model.runtime.default_image);
            Some((*reason, format!("pod {}: {words}", pod.name)))
        };
        self.pods.iter().filter_map(obstacle).min_by_key(|(reason, _)| *reason == Reason::Loading)
    }

    /// A refusal of a node speaks until enough other pods have been taken by one.
    fn rejection(&self) -> Option<String> {
        let (pod, words) = self.rejected?;
        let taken = self.pods.iter().filter(|pod| pod.is_ready || pod.stage == Stage::Taken).count();
        (count(taken) < self.wanted).then(|| format!("pod {}: its node refused it: {words}", pod.name))
    }

    /// Models that replicas of the same template have in memory, if there is more than one. While a rollout goes on,
    /// replicas may differ.
    fn difference(&self) -> Option<String> {
        if !self.is_complete() || self.loaded_models.len() < 2 {
            return None;
        }
        let name = |model: &LoadedModel| match &model.revision {
            Some(revision) => format!("{} with {revision} ({})", model.replicas, model.sha256),
            None => format!("{} with {}", model.replicas, model.sha256),
        };
        let each: Vec<_> = self.loaded_models.iter().map(name).collect();
        let cure = match &self.model.source {
            ValidSource::HuggingFace(..) => "spec.model.source.huggingFace.revision to a commit, or spec.model.sha256",
            _ => "spec.model.sha256",
        };
        Some(format!("replicas have different models in memory, {}: set {cure}", each.join(", ")))
    }

    fn condition(&self, type_: &str, status: &str) -> Option<String> {
        let conditions = self.status.conditions.iter().flatten();
        let mut found = conditions.filter(|c| c.type_ == type_ && c.status == status);
        found.next().map(|c| c.message.clone().unwrap_or_default())
    }
}

fn count(pods: usize) -> i32 {
    i32::try_from(pods).unwrap_or(i32::MAX)
}

fn spec_accepted(model: &ValidModel, facts: &Facts<'_>, refused: &[Refusal]) -> Verdict {
    let is_image_lost =
        facts.deployment.is_some_and(|deployment| deployment.deployed.from_image == FromImage::Forgotten);
    if is_image_lost && model.source.is_image_volume() {
        let message = "the cluster has no image volumes, and its pods would find no model: set \
                       spec.model.source.oci.mount: InitContainerCopy and the folder in path, or have the cluster's feature gate ImageVolume switched on";
        return verdict(False, Reason::ImageVolumesMissing, message);
    }
    let mut serving = refused.iter().filter(|refusal| !refusal.role.is_monitoring() && !refusal.role.is_scaler());
    match serving.next() {
        Some(refusal) => refused_verdict(refusal),
        None => verdict(True, Reason::Valid, "the specification is accepted"),
    }
}

pub(super) fn refused_verdict(refusal: &Refusal) -> Verdict {
    let (kind, name) = (refusal.role.kind().as_str(), &refusal.name);
    match &refusal.cause {
        RefusalCause::NameConflict => verdict(
            False,
            Reason::NameConflict,
            format!("{kind} {name} exists and is not this model's: rename the model, or delete the {kind}"),
        ),
        RefusalCause::Api { message, .. } => {
            let reason = refusal::reason(&refusal.cause);
            let cure = refusal::cure(reason);
            verdict(False, reason, format!("the API server refused {kind} {name}: {message}{cure}"))
        }
        RefusalCause::KindMissing => verdict(
            False,
            Reason::CustomResourceDefinitionMissing,
            format!(
                "the cluster does not know {kind}: install the Prometheus Operator's CRDs; the model serves without"
            ),
        ),
    }
}

fn model_loaded(rollout: &Rollout<'_>) -> Verdict {
    if let Some((reason, message)) = rollout.nothing() {
        return verdict(False, reason, message);
    }
    let ready = rollout.pods.iter().filter(|pod| pod.is_ready).count();
    let worst = rollout.worst();
    if let Some((reason, message)) = worst.clone().filter(|(reason, _)| *reason != Reason::Loading) {
        return verdict(False, reason, message);
    }
    if let Some(message) = rollout.condition("ReplicaFailure", "True") {
        let reason = refusal::of_message(&message).unwrap_or(Reason::PodsRefused);
        return verdict(False, reason, message);
    }
    if let Some(message) = rollout.rejection() {
        return verdict(False, Reason::RejectedByNode, message);
    }
    if let Some((reason, message)) = worst {
        return verdict(False, reason, message);
    }
    if let Some(message) = rollout.difference() {
        return verdict(False, Reason::ReplicasDiffer, message);
    }
    if count(ready) >= rollout.wanted {
        return verdict(
            True,
            Reason::Loaded,
            format!("{ready} of {} replicas have the model in memory", rollout.wanted),
        );
    }
    verdict(False, Reason::Loading, format!("{ready} of {} replicas have the model in memory", rollout.wanted))
}

fn available(rollout: &Rollout<'_>) -> Verdict {
    if let Some((reason, message)) = rollout.nothing() {
        return verdict(False, reason, message);
    }
    match (rollout.available(), rollout.wanted) {
        (0, wanted) => verdict(False, Reason::NoReplicaReady, format!("0 of {wanted} replicas answer")),
        (n, wanted) => verdict(True, Reason::ReplicasAvailable, format!("{n} of {wanted} replicas answer")),
    }
}

fn progressing(rollout: &Rollout<'_>) -> Verdict {
    if rollout.is_suspended {
        let left = rollout.status.replicas.unwrap_or(0);
        return verdict(True, Reason::Suspended, format!("spec.suspend is true; {left} pods are left"));
    }
    if rollout.is_paused {
        return paused(rollout);
    }
    if let Some(message) = rollout.condition("Progressing", "False") {
        return verdict(False, Reason::ProgressDeadlineExceeded, message);
    }
    if !rollout.is_observed {
        return verdict(True, Reason::Pending, "the Deployment's controller has not seen the specification yet");
    }
    let numbers = format!("{} of {} replicas are of the present specification", rollout.updated(), rollout.wanted);
    if rollout.is_complete() {
        return verdict(True, Reason::RolloutComplete, numbers);
    }
    verdict(True, Reason::RollingOut, numbers)
}

/// The user wants it so: neither good nor bad, unless nothing waits.
fn paused(rollout: &Rollout<'_>) -> Verdict {
    let numbers = format!("{} of {} replicas are of the present specification", rollout.updated(), rollout.wanted);
    if rollout.is_complete() {
        return verdict(True, Reason::Paused, format!("{numbers}; spec.rollout.paused holds the next change back"));
    }
    verdict(Unknown, Reason::Paused, format!("{numbers}: set spec.rollout.paused to false to go on"))
}

/// The summary. Its reason is the first cause that is not in order, so that a list of models shows why.
fn ready(rollout: &Rollout<'_>, causes: &[&Verdict]) -> Verdict {
    if let Some(cause) = causes.iter().find(|cause| cause.status == False) {
        return verdict(False, cause.reason, cause.message.clone());
    }
    let numbers = format!("{} of {} replicas answer", rollout.available(), rollout.wanted);
    if !rollout.is_complete() && rollout.is_paused {
        let paused = paused(rollout);
        return verdict(False, paused.reason, paused.message);
    }
    if !rollout.is_complete() {
        return verdict(False, if rollout.is_observed { Reason::RollingOut } else { Reason::Pending }, numbers);
    }
    if rollout.available() < rollout.wanted {
        return verdict(False, Reason::ReplicasUnavailable, numbers);
    }
    verdict(True, Reason::Serving, numbers)
}
