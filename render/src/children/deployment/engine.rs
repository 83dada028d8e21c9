//! The container of another engine: its own command, ports and probes, under the same confinement.

use belfry_crds::contract::{CACHE_MOUNT, METRICS_PORT_NAME, PORT_NAME, env};
use belfry_crds::inference_model::EngineType;
use k8s_openapi::api::core::v1::{Container, EnvVar, VolumeMount};

use super::arguments;
use super::confinement::confined;
use super::container::{of_user, port, probe, some};
use super::source::ca_file;
use super::traces;
use super::variable::{from_secret, plain};
use crate::deployed::WORKER;
use crate::model::{ValidEngine, ValidModel, ValidSource};
use crate::template::TemplateRevision;

/// Name of the user in an engine's container. It needs no entry in /etc/passwd.
const USER: &str = "belfry";

/// The engine's container. Its root file system stays writable: most images need that, and `restricted` allows it.
pub(super) fn container(model: &ValidModel, engine: &ValidEngine, volume_mounts: Vec<VolumeMount>) -> Container {
    let mut ports = vec![port(PORT_NAME, engine.http_port)];
    ports.extend(model.metrics_port().map(|metrics| port(METRICS_PORT_NAME, metrics)));
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

/// Variables of the container. Of a name that the specification sets too, the specification's value counts.
fn environment(model: &ValidModel, engine: &ValidEngine) -> Vec<EnvVar> {
    let mut vars = vec![plain("HOME", CACHE_MOUNT), plain("HF_HOME", in_cache("huggingface"))];
    if model.runtime.template_revision >= TemplateRevision::V2 {
        vars.extend(writable(engine.type_));
    }
    if let ValidSource::HuggingFace(hub, download) = &model.source {
        vars.extend(hub.endpoint.as_ref().map(|endpoint| plain(env::HF_ENDPOINT, endpoint)));
        vars.extend(hub.token_secret_ref.as_ref().map(|secret| from_secret(env::HF_TOKEN, secret)));
        if download.authorities.is_some() {
            // OpenSSL, curl and httpx read the first, and requests the second.
            vars.extend([plain("SSL_CERT_FILE", ca_file()), plain("REQUESTS_CA_BUNDLE", ca_file())]);
        }
    }
    // Only the user knows which argument of a custom engine names the model; its arguments can use `$(BELFRY_MODEL)`.
    if engine.type_ == EngineType::Custom {
        vars.push(plain(env::MODEL, model.source.location()));
    }
    vars.extend(traces::of_engine(model, engine.type_));
    vars.retain(|var| model.pod_template.env.iter().all(|of_user| of_user.name != var.name));
    vars.extend(of_user(model));
    vars
}

fn in_cache(folder: &str) -> String {
    format!("{CACHE_MOUNT}/{folder}")
}

/// What an engine needs that runs as a user without a name, and whose image names folders that this user can't write to.
/// PyTorch asks for the user's name (`getpass.getuser`), and fails where /etc/passwd has none. Sources of the names of caches:
/// vllm/envs.py of vllm-project/vllm, torch/_inductor/runtime/cache_dir_utils.py of pytorch/pytorch,
/// python/triton/knobs.py of triton-lang/triton, Dockerfile of huggingface/text-embeddings-inference (`/data`), and
/// common/common.cpp of ggml-org/llama.cpp.
fn writable(engine: EngineType) -> Vec<EnvVar> {
    let cache = |name: &str, folder: &str| plain(name, in_cache(folder));
    let mut vars = vec![plain("USER", USER), plain("LOGNAME", USER), cache("XDG_CACHE_HOME", ".cache")];
    let compiled = || [cache("TORCHINDUCTOR_CACHE_DIR", "torchinductor"), cache("TRITON_CACHE_DIR", "triton")];
    match engine {
        EngineType::VLLM => {
            vars.push(cache("VLLM_CACHE_ROOT", "vllm"));
            vars.extend(compiled());
        }
        EngineType::SGLang => vars.extend(compiled()),
        EngineType::TEI => vars.push(cache("HUGGINGFACE_HUB_CACHE", "huggingface/hub")),
        EngineType::LlamaCpp => vars.push(cache("LLAMA_CACHE", "llama.cpp")),
        EngineType::Custom | EngineType::Triton => {}
    }
    vars
}
