//! `spec.observability.tracing`: what an engine can't learn is refused by name.

use belfry_crds::inference_model::{EngineType, Tracing, TracingProtocol};

use crate::engine::profile;
use crate::model::ValidModel;
use crate::problem::Problem;

const FIELD: &str = "spec.observability.tracing";

/// Variables that say what a field of it says.
const VARIABLES: &[(&str, &str)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "protocol"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "protocol"),
    ("OTEL_TRACES_SAMPLER", "samplingRatio"),
    ("OTEL_TRACES_SAMPLER_ARG", "samplingRatio"),
];

/// Problems with where the model's traces should go.
pub(super) fn unsent(model: &ValidModel) -> Vec<Problem> {
    let Some(tracing) = &model.monitoring.tracing else { return vec![] };
    let twice = model.pod_template.env.iter().filter_map(|variable| {
        let (name, field) = VARIABLES.iter().find(|(name, _)| *name == variable.name)?;
        Some(Problem::new("spec.podTemplate.env", format!("remove {name}: {FIELD}.{field} says it")))
    });
    let path = pathless(tracing);
    let own = match model.engine.as_ref().map(|engine| engine.type_) {
        None => of_worker(tracing),
        Some(EngineType::VLLM) => vec![],
        Some(engine @ EngineType::TEI) => of_tei(tracing, profile(engine).name),
        Some(engine) => {
            let name = profile(engine).name;
            let message = format!("{name} has flags of its own for traces: remove it, and use spec.engine.args");
            vec![Problem::new(FIELD, message)]
        }
    };
    own.into_iter().chain(path).chain(twice).collect()
}

fn is_grpc(tracing: &Tracing) -> bool {
    tracing.protocol.unwrap_or_default() == TracingProtocol::Grpc
}

fn pathless(tracing: &Tracing) -> Option<Problem> {
    let (_, rest) = tracing.endpoint.split_once("://")?;
    let has_path = rest.split_once('/').is_some_and(|(_, path)| !path.is_empty());
    (is_grpc(tracing) && has_path).then(|| {
        let message = "gRPC has no path: leave it out, or use protocol HttpProtobuf";
        Problem::new(&format!("{FIELD}.endpoint"), message)
    })
}

fn of_worker(tracing: &Tracing) -> Vec<Problem> {
    let is_encrypted = is_grpc(tracing) && tracing.endpoint.starts_with("https:");
    let message = "the worker speaks gRPC without TLS: use http://, or protocol HttpProtobuf";
    is_encrypted.then(|| Problem::new(&format!("{FIELD}.endpoint"), message)).into_iter().collect()
}

fn of_tei(tracing: &Tracing, name: &str) -> Vec<Problem> {
    let protocol = (!is_grpc(tracing))
        .then(|| Problem::new(&format!("{FIELD}.protocol"), format!("{name} speaks gRPC only: remove it")));
    let ratio = tracing.sampling_ratio.is_some().then(|| {
        let message = format!("{name} traces every request: remove it, and sample in the collector");
        Problem::new(&format!("{FIELD}.samplingRatio"), message)
    });
    protocol.into_iter().chain(ratio).collect()
}
