//! The container of another engine: its own command, ports and probes, under the same confinement.

use belfry_crds::contract::{CACHE_MOUNT, METRICS_PORT_NAME, PORT_NAME, env};
use belfry_crds::inference_model::EngineType;
use k8s_openapi::api::core::v1::{Container, EnvVar, VolumeMount};

use super::arguments;
use super::confinement::confined;
use super::container::{of_user, port, probe, some};
use super::variable::{from_secret, plain};
use crate::deployed::WORKER;
use crate::model::{ValidEngine, ValidModel, ValidSource};

/// The engine's container. Its root file system stays writable: most images need that, and `restricted` allows it.
pub(super) fn container(model: &ValidModel, engine: &ValidEngine, volume_mounts: Vec<VolumeMount>) -> Container {
    let mut ports = vec![port(PORT_NAME, engine.http_port)];
    ports.extend((engine.metrics_port != engine.http_port).then(|| port(METRICS_PORT_NAME, engine.metrics_port)));
    Container {
        name: WORKER.into(),
        image: Some(model.runtime.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: some(arguments::command(model, engine)),
        args: some(arguments::arguments(model, engine)),
        env: Some(environment(model, engine)),
        ports: Some(ports),
        resources: Some(model.resources.clone()),
        startup_probe: Some(probe(&engine.readiness_path, 1, model.startup_budget_seconds)),
        readiness_probe: Some(probe(&engine.readiness_path, 2, 2)),
        liveness_probe: Some(probe(&engine.liveness_path, 10, 3)),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(confined()),
        volume_mounts: Some(volume_mounts),
        ..Default::default()
    }
}

fn environment(model: &ValidModel, engine: &ValidEngine) -> Vec<EnvVar> {
    let mut vars = vec![plain("HOME", CACHE_MOUNT), plain("HF_HOME", format!("{CACHE_MOUNT}/huggingface"))];
    if let ValidSource::HuggingFace(hub, _) = &model.source {
        vars.extend(hub.endpoint.as_ref().map(|endpoint| plain(env::HF_ENDPOINT, endpoint)));
        vars.extend(hub.token_secret_ref.as_ref().map(|secret| from_secret(env::HF_TOKEN, secret)));
    }
    // Only the user knows which argument of a custom engine names the model; its arguments can use `$(BELFRY_MODEL)`.
    if engine.type_ == EngineType::Custom {
        vars.push(plain(env::MODEL, model.source.location()));
    }
    vars.extend(of_user(model));
    vars
}
