//! One pass: `observe → validate → children → apply → status`. [`reconcile`] is the only place that
//! sees every step.

use belfry_crds::InferenceModel;
use k8s_openapi::jiff::Timestamp;

use super::{Context, Error, write_status};
use crate::apply::{self, Applied, RefusalCause, apply};
use crate::observe::{ModelKey, Observed};
use crate::status::{Facts, Pass, ScalingFacts, left_behind, status};
use belfry_render::model::ValidModel;
use belfry_render::settings::Settings;
use belfry_render::validate::validate_running;

/// How a pass ended, when nothing has to be repeated at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is no such model, or it is being deleted.
    Gone,
    /// The children are as they should be.
    Converged {
        /// A value of the label `outcome`.
        outcome: &'static str,
    },
    /// A child was refused, which time may heal.
    Refused,
    /// This pass found out something that children depend on, and the next one builds them from it.
    Again,
}

impl Ended {
    /// The value of the label `outcome`; `None` for a pass that found nothing to look at.
    pub(super) const fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Gone => None,
            Self::Converged { outcome } => Some(outcome),
            Self::Refused => Some("refused"),
            Self::Again => Some("applied"),
        }
    }
}

/// The steps, and nothing else.
pub(super) async fn reconcile(key: &ModelKey, context: &Context) -> Result<Ended, Error> {
    let Some(observed) = context.cache.observed(key) else { return Ok(Ended::Gone) };
    let Observed { model, pods, .. } = &observed;
    if model.metadata.deletion_timestamp.is_some() {
        // The children are owned by the model, and the garbage collector takes them.
        return Ok(Ended::Gone);
    }
    let has_scaler = observed.children.keys().any(|(kind, name)| kind.is_scaler() && *name == key.name);
    if let Some(taken_over) = left_behind(model, has_scaler, observed.deployment.as_ref()) {
        write_status::write(model, taken_over, context).await?;
        return Ok(Ended::Again);
    }
    let pass = match validate_running(model, observed.deployed(), context.cache.settings()) {
        Ok(valid) => {
            let requests =
                apply::Context { client: &context.client, cache: &context.cache, metrics: &context.metrics, key };
            let applied = apply(&valid, &observed, &requests).await?;
            if has_another_choice(&valid, &applied, model, context.cache.settings()) {
                return Ok(Ended::Again);
            }
            Pass::Applied { model: Box::new(valid), applied: Box::new(applied) }
        }
        Err(problems) => Pass::Invalid(problems),
    };
    context.metrics.restarts.observe(key.clone(), pods);
    let deployment = pass.deployment().or(observed.deployment.as_ref());
    let scaling = ScalingFacts { scaler: observed.scaler.clone(), metrics: context.scaling.source(key) };
    let facts = Facts { generation: model.metadata.generation, pass: &pass, deployment, scaling: &scaling, pods };
    let next = status(&facts, model.status.as_ref(), Timestamp::now());
    write_status::write(model, next, context).await?;
    Ok(pass.ended())
}

/// The API server's answer may show that the cluster has no image volumes, so that the model has to be copied.
fn has_another_choice(valid: &ValidModel, applied: &Applied, model: &InferenceModel, settings: &Settings) -> bool {
    let Some(written) = &applied.deployment else { return false };
    validate_running(model, Some(&written.deployed), settings).is_ok_and(|next| next.source != valid.source)
}

impl Pass {
    fn deployment(&self) -> Option<&crate::observe::Rollout> {
        match self {
            Self::Applied { applied, .. } => applied.deployment.as_ref(),
            Self::Invalid(_) => None,
        }
    }

    fn ended(&self) -> Ended {
        match self {
            Self::Invalid(_) => Ended::Converged { outcome: "invalid" },
            Self::Applied { applied, .. } if applied.refused.iter().any(|r| r.cause != RefusalCause::KindMissing) => {
                Ended::Refused
            }
            Self::Applied { applied, .. } if applied.written.is_empty() => Ended::Converged { outcome: "unchanged" },
            Self::Applied { .. } => Ended::Converged { outcome: "applied" },
        }
    }
}
