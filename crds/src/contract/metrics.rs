//! Every metric of Belfry. `docs/metrics.md` is generated from here.

use super::DURATION_BUCKETS;
use super::metric::{Counter, Exporter, Gauge, Histogram, Kind, Label, Metric, Values};

const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Closed(values) }
}

const fn one_per(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::OnePer(what) }
}

/// Routes that count as inference; probes, metrics and unknown paths do not. A route with the name of a model in its path
/// is written without that name.
pub const ENDPOINTS: &[&str] = &[
    "/v1/embeddings",
    "/embed",
    "/embed_all",
    "/embed_sparse",
    "/rerank",
    "/v1/rerank",
    "/predict",
    "/similarity",
    "/v1/encode",
    "/v1/score",
];

/// HTTP statuses of a worker's answers to inference requests. 499 is never sent: it counts requests whose caller
/// disconnected.
pub const STATUSES: &[&str] =
    &["200", "400", "401", "404", "405", "408", "413", "415", "422", "429", "499", "500", "503", "504"];

/// The outcome of a request: `ok`, or the `code` of the error body.
pub const REASONS: &[&str] = &[
    "ok",
    "invalid_json",
    "invalid_input",
    "unsupported_media_type",
    "method_not_allowed",
    "unauthorized",
    "model_not_found",
    "request_too_large",
    "body_timeout",
    "too_many_inputs",
    "input_too_long",
    "queue_full",
    "model_loading",
    "draining",
    "deadline_exceeded",
    "client_closed_request",
    "inference_failed",
];

/// Parts of a request's time: `total` from the last byte of the body to the first of the answer.
pub const PHASES: &[&str] = &["total", "tokenize", "queue", "inference"];

/// States of a worker's model; exactly one is 1.
pub const MODEL_STATES: &[&str] = &["loading", "loaded", "unloading", "failed"];

/// What holds a GPU's clocks back, in the order of NVML's bits. An idle GPU lowers its clocks by itself; that is none of these.
pub const GPU_THROTTLE_REASONS: &[&str] = &[
    "clocks_setting",
    "software_power_cap",
    "hardware_slowdown",
    "sync_boost",
    "software_thermal",
    "hardware_thermal",
    "hardware_power_brake",
];

/// What a caller says about an answer that it got.
pub const RATINGS: &[&str] = &["positive", "neutral", "negative"];

/// Reasons for a retry of a download's request.
pub const DOWNLOAD_RETRY_REASONS: &[&str] = &["stalled", "connection", "status", "corrupt"];

const NAMESPACE: Label = one_per("namespace", "namespace");
const MODEL: Label = one_per("model", "InferenceModel");

const VERSION: Label = one_per("version", "version that an evaluation job names");
const DATASET: Label = one_per("dataset", "data set of a model, at most 8");

/// Zone of a node; empty if the node has no zone label, or if the operator reads no nodes.
const ZONE: Label = one_per("zone", "zone of the cluster");
const CAPACITY_TYPE: Label = closed("capacity_type", CAPACITY_TYPES);
/// Product name of a node's GPUs; empty if the node has none, or if the operator reads no nodes.
const GPU: Label = one_per("gpu", "GPU product of the cluster");
/// UUID of a GPU, as `nvidia-smi -L` prints it. An index would name another GPU in each pod, and after each move of a pod.
const GPU_UUID: Label = one_per("gpu", "GPU that the worker sees, by its UUID");

macro_rules! metrics {
    ($($exporter:ident $kind:ident $id:ident = $name:literal [$unit:literal] ($($label:expr),*) $(buckets $buckets:expr)?; $help:literal)*) => {
        $(#[doc = $help]
        pub const $id: $kind = $kind(Metric {
            name: $name,
            kind: metrics!(@kind $kind $($buckets)?),
            unit: $unit,
            help: $help,
            labels: &[$($label),*],
            exporter: Exporter::$exporter,
        });)*
        /// Every metric of this part, in the order of the documentation.
        pub(super) const ALL: &[Metric] = &[$($id.0),*];
    };
    (@kind Counter) => { Kind::Counter };
    (@kind Gauge) => { Kind::Gauge };
    (@kind Histogram $buckets:expr) => { Kind::Histogram($buckets) };
}

mod gpu;
mod operator;
mod quality;
mod worker;

pub use gpu::*;
pub use operator::*;
pub use quality::*;
pub use worker::*;

/// Every metric of the contract, in the order of the documentation.
pub const ALL: &[Metric] =
    &joined::<{ worker::ALL.len() + quality::ALL.len() + gpu::ALL.len() + operator::ALL.len() }>(&[
        worker::ALL,
        quality::ALL,
        gpu::ALL,
        operator::ALL,
    ]);

const fn joined<const N: usize>(parts: &[&[Metric]]) -> [Metric; N] {
    let mut all = [parts[0][0]; N];
    let (mut next, mut part) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[next] = parts[part][index];
            next += 1;
            index += 1;
        }
        part += 1;
    }
    all
}

/// The kubelet's reasons for a waiting container that alerts and runbooks know.
pub const WAITING_REASONS: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ContainerCreating",
    "PodInitializing",
    "other",
];

/// Outcomes of a pass of the operator.
///
/// In a `refused` pass, the API server refused a child: a quota, admission, a missing permission or a name that is
/// taken.
pub use super::outcome::OUTCOMES as RECONCILE_OUTCOMES;

/// States of an object that is generated for a model.
pub const OBJECT_STATES: &[&str] = &["applied", "refused", "missing"];

/// How the capacity of a node is paid for, according to its labels. `reserved` is capacity that is bought in advance.
pub const CAPACITY_TYPES: &[&str] = &["on-demand", "spot", "reserved", "unknown"];

/// Verbs of the operator's requests to the API server.
pub const REQUEST_VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete", "other"];

/// Kinds that the operator writes.
pub const WRITTEN_KINDS: &[&str] = &[
    "InferenceModel",
    "ServiceAccount",
    "Service",
    "Deployment",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ConfigMap",
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "ServiceMonitor",
    "PrometheusRule",
    "AlertmanagerConfig",
    "Event",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_prometheus_conventions_and_are_unique() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} exists twice", metric.name);
            let prefix = match metric.exporter {
                Exporter::Worker => "inference_",
                Exporter::OperatorAboutModels => "belfry_model_",
                Exporter::Operator => "belfry_operator_",
            };
            assert!(metric.name.starts_with(prefix), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            for unit in ["seconds", "bytes", "ratio", "celsius", "watts", "hertz"] {
                if metric.unit == unit {
                    assert!(metric.name.trim_end_matches("_total").ends_with(unit), "{}", metric.name);
                }
            }
            assert!(metric.help.ends_with('.'), "{}: help is a sentence", metric.name);
        }
    }

    #[test]
    fn every_closed_label_has_few_distinct_values() {
        for metric in ALL {
            for label in metric.labels {
                if let Values::Closed(values) = label.values {
                    let distinct: BTreeSet<_> = values.iter().collect();
                    assert_eq!(distinct.len(), values.len(), "{}.{}", metric.name, label.name);
                    assert!(values.len() <= 32, "{}.{}", metric.name, label.name);
                }
            }
        }
    }

    #[test]
    fn buckets_grow() {
        for metric in ALL {
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.windows(2).all(|pair| pair[0] < pair[1]), "{}", metric.name);
            }
        }
    }
}
