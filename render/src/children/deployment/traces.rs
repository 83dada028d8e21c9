//! How a container learns where its traces go. `validate` refuses what it can't learn.

use belfry_crds::contract::env;
use belfry_crds::inference_model::{EngineType, Tracing, TracingProtocol};
use k8s_openapi::api::core::v1::EnvVar;

use super::variable::plain;
use crate::model::ValidModel;

/// Variables of Belfry's own worker; none unless it traces.
pub(super) fn of_worker(model: &ValidModel) -> Vec<EnvVar> {
    let Some(tracing) = &model.monitoring.tracing else { return vec![] };
    let own = [plain(env::ENABLE_TRACE, true), plain(env::OTLP_TRACES_ENDPOINT, &tracing.endpoint)];
    let mut vars: Vec<_> = own.into_iter().chain(standard(model, tracing)).collect();
    // A name for the spans of its own is the user's choice.
    vars.retain(|var| model.pod_template.env.iter().all(|of_user| of_user.name != var.name));
    vars
}

/// Variables of another engine. vLLM reads those of OpenTelemetry's library; TEI has flags.
pub(super) fn of_engine(model: &ValidModel, engine: EngineType) -> Vec<EnvVar> {
    match (&model.monitoring.tracing, engine) {
        (Some(tracing), EngineType::VLLM) => {
            // The library takes gRPC for encrypted unless this says otherwise, whatever the address says.
            let is_plain = tracing.endpoint.starts_with("http://");
            let insecure = is_plain.then(|| plain("OTEL_EXPORTER_OTLP_TRACES_INSECURE", true));
            standard(model, tracing).into_iter().chain(insecure).collect()
        }
        _ => vec![],
    }
}

/// Arguments of another engine.
pub(super) fn arguments(model: &ValidModel, engine: EngineType) -> Vec<String> {
    let Some(tracing) = &model.monitoring.tracing else { return vec![] };
    let words: &[&str] = match engine {
        EngineType::VLLM => &["--otlp-traces-endpoint", &tracing.endpoint],
        EngineType::TEI => &["--otlp-endpoint", &tracing.endpoint, "--otlp-service-name", &model.name],
        _ => &[],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The variables that OpenTelemetry has for every program.
fn standard(model: &ValidModel, tracing: &Tracing) -> Vec<EnvVar> {
    let protocol: TracingProtocol = tracing.protocol.unwrap_or_default();
    let namespace = &model.namespace;
    let mut vars = vec![
        plain("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol.as_str()),
        plain("OTEL_SERVICE_NAME", &model.name),
        plain("OTEL_RESOURCE_ATTRIBUTES", format!("service.namespace={namespace},k8s.namespace.name={namespace}")),
    ];
    if let Some(ratio) = &tracing.sampling_ratio {
        vars.push(plain("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"));
        vars.push(plain("OTEL_TRACES_SAMPLER_ARG", ratio));
    }
    vars
}
