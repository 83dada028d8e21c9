//! One pass: `observe → validate → apply → status`. [`reconcile`] is the only place that sees every step.

use std::time::Duration;

use belfry_crds::InferenceModel;
use belfry_crds::contract::outcome::Outcome;
use k8s_openapi::jiff::Timestamp;

use super::{Context, Error, write_status};
use crate::apply::{self, Applied, RefusalCause, apply};
use crate::drift::Desired;
use crate::loaded::Identities;
use crate::observe::{Cause, DeploymentState, ModelKey, Observed, Selection};
use crate::status::{Facts, Pass, ScalingFacts, left_behind, released, status};
use belfry_render::children::metadata;

/// How a pass ended that did not break off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// How.
    pub(super) outcome: Outcome,
    /// Whether the pass found out something that children depend on, so that the next one follows at once.
    pub(super) found_out_more: bool,
    /// Time until the model needs another pass, although no watch will show anything.
    pub(super) again_in: Option<Duration>,
}

impl Ended {
    const fn with(outcome: Outcome) -> Self {
        Self { outcome, found_out_more: false, again_in: None }
    }
}

/// The steps, and nothing else.
pub(super) async fn reconcile(key: &ModelKey, cause: Cause, context: &Context) -> Result<Ended, Error> {
    let again = Ended { found_out_more: true, ..Ended::with(Outcome::Applied) };
    let Some(observed) = context.cache.observed(key).filter(|observed| !is_being_deleted(&observed.model)) else {
        // The children are owned by the model, and the garbage collector takes them.
        context.drift.forget(key);
        context.loaded.forget(key);
        context.disputes.forget(key);
        context.evaluation.forget(key);
        return Ok(Ended::with(Outcome::Gone));
    };
    let Observed { model, pods, .. } = &observed;
    let has_scaler = observed.children.keys().any(|role| role.is_scaler());
    if let Some(taken_over) = left_behind(model, has_scaler, observed.deployment.as_ref()) {
        write_status::write(model, taken_over, context).await?;
        return Ok(again);
    }
    if let Some(released) = released(model, &observed.foreign_scalers, observed.deployment.as_ref()) {
        let scaled_by = released.scaled_by.clone();
        write_status::write(model, released, context).await?;
        let holds =
            |next: Observed| next.model.status.as_ref().and_then(|status| status.scaled_by.clone()) == scaled_by;
        // A definition that is older than this operator lacks the field: then the condition is all that says it.
        if context.cache.observed(key).is_some_and(holds) {
            return Ok(again);
        }
    }
    let pass = match context.drift.validate(model, observed.deployed()) {
        Ok(desired) => {
            let Context { client, cache, drift, metrics, disputes, .. } = context;
            let requests = apply::Context { client, cache, drift, metrics, disputes, key, cause };
            let applied = apply(&desired, &observed, &requests).await?;
            if has_another_choice(&desired, &applied, model, context) {
                return Ok(again);
            }
            Pass::Applied { model: Box::new(desired.model), applied: Box::new(applied) }
        }
        Err(problems) => Pass::Invalid(problems),
    };
    context.fleet.restarts.observe(key.clone(), pods);
    let deployment = pass.deployment().or(observed.deployment.as_ref());
    let scaling = ScalingFacts {
        scaler: observed.scaler.clone(),
        names_replicas: model.spec.replicas.is_some(),
        foreign: observed.foreign_scalers.clone(),
        metrics: context.scaling.source(key),
    };
    let identities = if pass.has_own_worker() { context.loaded.of(key, pods) } else { Some(Identities::new()) };
    let generation = model.metadata.generation;
    let selection = pass.selection(context);
    let evaluated = context.evaluation.of(key);
    let facts =
        Facts { generation, pass: &pass, deployment, scaling: &scaling, pods, selection, evaluated, identities };
    let next = status(&facts, model.status.as_ref(), Timestamp::now());
    write_status::write(model, next, context).await?;
    Ok(Ended { again_in: pass.again_in(), ..Ended::with(pass.outcome()) })
}

fn is_being_deleted(model: &InferenceModel) -> bool {
    model.metadata.deletion_timestamp.is_some()
}

/// The API server's answer may show that the cluster has no image volumes, so that the model has to be copied.
fn has_another_choice(desired: &Desired, applied: &Applied, model: &InferenceModel, context: &Context) -> bool {
    let Some(written) = &applied.deployment else { return false };
    let next = context.drift.validate(model, Some(&written.deployed));
    next.is_ok_and(|next| next.model.source != desired.model.source)
}

impl Pass {
    fn deployment(&self) -> Option<&DeploymentState> {
        match self {
            Self::Applied { applied, .. } => applied.deployment.as_ref(),
            Self::Invalid(_) => None,
        }
    }

    /// Another engine does not say what it has loaded.
    fn has_own_worker(&self) -> bool {
        matches!(self, Self::Applied { model, .. } if model.engine.is_none())
    }

    /// Which Prometheus reads what was written.
    fn selection(&self, context: &Context) -> Selection {
        match self {
            Self::Applied { model, .. } => {
                context.cache.prometheuses().selection(&model.namespace, &metadata::monitoring_labels(model))
            }
            Self::Invalid(_) => Selection::Unknown,
        }
    }

    fn again_in(&self) -> Option<Duration> {
        match self {
            Self::Applied { applied, .. } => applied.again_in,
            Self::Invalid(_) => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Invalid(_) => Outcome::Invalid,
            Self::Applied { applied, .. } if applied.refused.iter().any(|r| r.cause != RefusalCause::KindMissing) => {
                Outcome::Refused
            }
            Self::Applied { applied, .. } if applied.written.is_empty() => Outcome::Unchanged,
            Self::Applied { .. } => Outcome::Applied,
        }
    }
}
