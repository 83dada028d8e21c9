//! The container of a worker: settings and probes.

use belfry_crds::contract::{
    DRAIN_DELAY_SECONDS, LIVENESS_PATH, METRICS_PORT_NAME, PORT, PORT_NAME, READINESS_PATH, TERMINATION_LOG, env,
};
use belfry_crds::inference_model as api;
use belfry_crds::inference_model::Task;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Probe, SecurityContext, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::confinement::confined;
use super::variable::{from_secret, plain};
use super::{quality, source, traces};
use crate::deployed::WORKER;
use crate::model::ValidModel;

/// The worker's container.
pub(super) fn container(model: &ValidModel, volume_mounts: Vec<VolumeMount>) -> Container {
    Container {
        name: WORKER.into(),
        image: Some(model.runtime.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        args: some(model.pod_template.extra_args.clone()),
        env: Some(environment(model)),
        ports: Some(ports(model)),
        resources: Some(model.resources.clone()),
        // The liveness probe begins after the start-up probe has succeeded, so a slow load is never killed.
        // A period of one second makes a worker ready within a second after its model is loaded.
        startup_probe: Some(probe(READINESS_PATH, 1, model.startup_budget_seconds)),
        readiness_probe: Some(probe(READINESS_PATH, 2, 2)),
        liveness_probe: Some(probe(LIVENESS_PATH, 10, 3)),
        termination_message_path: Some(TERMINATION_LOG.into()),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(SecurityContext { read_only_root_filesystem: Some(true), ..confined() }),
        volume_mounts: Some(volume_mounts),
        ..Default::default()
    }
}

fn ports(model: &ValidModel) -> Vec<ContainerPort> {
    let metrics = model.metrics_port().map(|metrics| port(METRICS_PORT_NAME, metrics));
    [port(PORT_NAME, i32::from(PORT))].into_iter().chain(metrics).collect()
}

pub(super) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..Default::default()
    }
}

/// `None` for an empty list, which server-side apply would take for a difference.
pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

pub(super) fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(PORT_NAME.into()),
            scheme: Some("HTTP".into()),
            ..Default::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failure_threshold),
        ..Default::default()
    }
}

fn environment(model: &ValidModel) -> Vec<EnvVar> {
    let runtime = &model.runtime;
    let mut vars = source::environment(model);
    vars.extend([
        plain(env::SERVED_NAME, model.served_names.first().unwrap_or(&model.name)),
        plain(env::DEVICE, runtime.device.as_str()),
        plain(env::DTYPE, runtime.dtype.as_str()),
        plain(env::THREADS, runtime.threads),
        plain(env::MAX_BATCH_TOKENS, runtime.max_batch_tokens),
        plain(env::MAX_BATCH_SIZE, runtime.max_batch_size),
        plain(env::MAX_CLIENT_BATCH_SIZE, runtime.max_client_batch_size),
        plain(env::QUEUE_CAPACITY, runtime.queue_capacity),
        plain(env::REQUEST_TIMEOUT_MS, runtime.request_timeout_ms),
        plain(env::TERMINATION_LOG, TERMINATION_LOG),
        plain(env::DRAIN_DELAY_SECONDS, DRAIN_DELAY_SECONDS),
        plain(env::DRAIN_TIMEOUT_SECONDS, model.rollout.drain_seconds),
        plain(env::LOG_JSON, true),
        // libgomp's threads spin while they wait, which starves the tokenizer on few cores. It reads
        // these when it is loaded, so the worker itself comes too late to set them.
        plain("OMP_WAIT_POLICY", "PASSIVE"),
        plain("GOMP_SPINCOUNT", 0),
    ]);
    vars.extend(task(model.task).map(|task| plain(env::TASK, task)));
    vars.extend(model.metrics_port().map(|port| plain(env::METRICS_LISTEN, format!("0.0.0.0:{port}"))));
    vars.extend(traces::of_worker(model));
    vars.extend(quality::environment(model));
    vars.extend(of_user(model));
    vars
}

/// The worker's name of a task. For embeddings the worker takes it from the model's files, as it did before there were
/// other tasks: a pod template that was released does not change.
const fn task(task: Task) -> Option<&'static str> {
    match task {
        Task::Embedding => None,
        Task::SparseEmbedding => Some("sparse-embedding"),
        Task::Rerank => Some("rerank"),
        Task::Classification => Some("classification"),
    }
}

/// The variables of the specification. The API refuses names that Belfry sets itself.
pub(super) fn of_user(model: &ValidModel) -> impl Iterator<Item = EnvVar> {
    model.pod_template.env.iter().map(|api::EnvVar { name, value, secret_key_ref }| match secret_key_ref {
        Some(secret) => from_secret(name, secret),
        None => plain(name, value.as_deref().unwrap_or_default()),
    })
}
