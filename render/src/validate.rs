//! `InferenceModel`, with its Deployment where there is one → [`ValidModel`], or the list of its [`Problem`]s.
//!
//! Pure. The API server checks most rules, which stand in the CRD. This module has the defaults and the rules that CEL
//! can't express. Builders take a [`ValidModel`] and make no decision again.

mod alerts;
mod autoscaling;
mod effect;
mod engine;
mod monitoring;
mod network;
mod pod;
mod resources;
mod rollout;
mod routing;
mod source;
mod tracing;

use belfry_crds::accuracy;
use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Batching, InferenceModelSpec, Queue, Runtime};
use belfry_crds::{InferenceModel, InferenceModelStatus};

use crate::deployed::Deployed;
use crate::model::{ValidModel, ValidRuntime, runtime::image_for};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::template::{Pin, Running};

/// Checks a model and applies the defaults.
///
/// # Errors
/// Every problem at once, each with its field.
pub fn validate(model: &InferenceModel, settings: &Settings) -> Result<ValidModel, Vec<Problem>> {
    validate_running(model, None, settings)
}

/// Checks a model in a cluster and applies the defaults. `deployed` has the choices that its Deployment was made with. They
/// also replace a status that was lost.
///
/// # Errors
/// Every problem at once, each with its field.
pub fn validate_running(
    model: &InferenceModel,
    deployed: Option<&Deployed>,
    settings: &Settings,
) -> Result<ValidModel, Vec<Problem>> {
    let mut problems = vec![];
    let spec = &model.spec;
    let of_status = model.status.as_ref().and_then(|status| status.runtime.as_ref()).map(Running::of_status);
    let running = of_status.or_else(|| deployed?.running.clone());
    let device = spec.runtime.as_ref().and_then(|r| r.device).unwrap_or_default();
    let resources = keep(resources::requirements(spec.resources.as_ref(), device), &mut problems);
    let startup_budget_seconds =
        spec.probes.as_ref().and_then(|p| p.startup_budget_seconds).unwrap_or(defaults::STARTUP_BUDGET_SECONDS);
    let source = keep(source::source(&spec.model, startup_budget_seconds, deployed), &mut problems);
    let runtime = keep(runtime(spec, running.as_ref(), settings), &mut problems);
    let engine = spec.engine.as_deref().map(engine::engine);
    problems.extend(spec.engine.as_deref().into_iter().flat_map(engine::unspeakable));
    let monitoring = keep(monitoring::monitoring(spec.observability.as_deref(), settings), &mut problems);
    problems.extend(pod::reserved_keys(spec.pod_template.as_deref()));
    let most_replicas = spec.autoscaling.as_ref().map(|autoscaling| autoscaling.max_replicas);
    problems.extend(rollout::crowded(&spec.model, spec.replicas, most_replicas));
    if let (Some(engine), Some(monitoring)) = (&engine, &monitoring) {
        problems.extend(engine::unmeasurable(engine, monitoring));
    }
    problems.extend(engine.as_ref().and_then(|engine| engine::idle(engine, spec.task)));
    if let (Some(engine), Some(source)) = (&engine, &source) {
        problems.extend(engine::unreadable(engine, source));
    }
    let autoscaling = keep(autoscaling::autoscaling(spec.autoscaling.as_deref(), engine.as_ref()), &mut problems);
    let (Some(resources), Some(source), Some(runtime), Some(monitoring), Some(autoscaling)) =
        (resources, source, runtime, monitoring, autoscaling)
    else {
        return Err(problems);
    };
    let access_mode = rollout::access_mode(&spec.model);
    let rollout = rollout::rollout(spec.rollout.as_ref(), &resources, access_mode, startup_budget_seconds);
    let rollout = keep(rollout, &mut problems);
    let Some(rollout) = rollout.filter(|_| problems.is_empty()) else { return Err(problems) };
    let name = model.metadata.name.clone().unwrap_or_default();
    let valid = ValidModel {
        namespace: model.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        uid: model.metadata.uid.clone().unwrap_or_default(),
        task: spec.task,
        source,
        sha256: spec.model.sha256.clone(),
        served_names: match spec.model.served_names.as_slice() {
            [] => vec![name.clone()],
            names => names.to_vec(),
        },
        name,
        replicas: wanted_replicas(spec, model.status.as_ref()),
        autoscaling: autoscaling.filter(|_| spec.suspend != Some(true)),
        is_scaled_by_others: spec.suspend != Some(true)
            && model.status.as_ref().is_some_and(|status| status.scaled_by.is_some()),
        is_suspended: spec.suspend == Some(true),
        resources,
        runtime,
        engine,
        rollout,
        startup_budget_seconds,
        availability: pod::availability(spec.availability.as_ref()),
        scheduling: spec.scheduling.as_deref().cloned().unwrap_or_default(),
        network: network::network(spec.network.as_deref(), spec.pod_template.as_deref()),
        pod_template: spec.pod_template.as_deref().cloned().unwrap_or_default(),
        baseline: spec.quality.as_ref().and_then(|quality| quality.baseline.clone()),
        is_evaluated: model.metadata.annotations.iter().any(|annotations| accuracy::of(annotations).next().is_some()),
        monitoring,
    };
    let ignored = effect::without_effect(spec, &valid);
    if ignored.is_empty() { Ok(valid) } else { Err(ignored) }
}

/// Number of worker pods that a specification wants: 0 while it is suspended, else `spec.replicas`, else the last number
/// that a scaler set. Where a scaler of others decides, its number comes first.
#[must_use]
pub fn wanted_replicas(spec: &InferenceModelSpec, status: Option<&InferenceModelStatus>) -> i32 {
    if spec.suspend == Some(true) {
        return 0;
    }
    let last_scaled = status.and_then(|status| status.scaled_replicas);
    let is_scaled_by_others = status.is_some_and(|status| status.scaled_by.is_some());
    let (first, second) = if is_scaled_by_others { (last_scaled, spec.replicas) } else { (spec.replicas, last_scaled) };
    first.or(second).unwrap_or(defaults::REPLICAS)
}

fn keep<T>(part: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    part.map_err(|found| problems.extend(found)).ok()
}

fn runtime(
    spec: &InferenceModelSpec,
    running: Option<&Running>,
    settings: &Settings,
) -> Result<ValidRuntime, Vec<Problem>> {
    let runtime = spec.runtime.clone().unwrap_or_default();
    let Runtime { image, template_revision, device, dtype, threads, batching, queue } = runtime;
    let pin = Pin::choose(template_revision.as_deref(), running, settings).map_err(|problem| vec![problem])?;
    let Batching { max_batch_tokens, max_batch_size, max_client_batch_size } = batching.unwrap_or_default();
    let Queue { capacity, request_timeout_ms } = queue.unwrap_or_default();
    let device = device.unwrap_or_default();
    let image = spec.engine.as_ref().map(|engine| engine.image.clone()).or(image);
    Ok(ValidRuntime {
        image: image.unwrap_or_else(|| image_for(&pin.image, device)),
        default_image: pin.image,
        template_revision: pin.revision,
        available_image: settings.worker_image.clone(),
        device,
        dtype: dtype.unwrap_or_default(),
        threads: threads.unwrap_or(0),
        max_batch_tokens: positive(max_batch_tokens, defaults::MAX_BATCH_TOKENS),
        max_batch_size: positive(max_batch_size, defaults::MAX_BATCH_SIZE),
        max_client_batch_size: positive(max_client_batch_size, defaults::MAX_CLIENT_BATCH_SIZE),
        queue_capacity: positive(capacity, defaults::QUEUE_CAPACITY),
        request_timeout_ms: positive(request_timeout_ms, defaults::REQUEST_TIMEOUT_MS),
    })
}

/// The CRD requires at least 1, so only an object that no API server has checked can be negative.
fn positive(value: Option<i32>, default: u32) -> u32 {
    value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default)
}
