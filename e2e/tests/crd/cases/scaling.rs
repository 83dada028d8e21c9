//! `spec.autoscaling`.

use serde_json::{Value, json};

use super::Wrong;

pub(super) fn right() -> Vec<(&'static str, Value)> {
    vec![
        ("scaled", json!({"autoscaling": {"maxReplicas": 1}})),
        (
            "scaled by KEDA",
            json!({"autoscaling": {"provider": "KEDA", "maxReplicas": 3, "prometheusAddress": "http://prometheus.monitoring:9090/prefix"}}),
        ),
        (
            "a fallback within the bounds",
            json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 3, "fallbackReplicas": 3}}),
        ),
        ("scaled and suspended", json!({"suspend": true, "autoscaling": {"maxReplicas": 2}})),
    ]
}

pub(super) fn wrong() -> Vec<Wrong> {
    let scaling = |scaling: Value| json!({"autoscaling": scaling});
    let metric = |type_: &str| json!({"type": type_, "averageValue": 1});
    vec![
        (
            "two who decide",
            json!({"replicas": 2, "autoscaling": {"maxReplicas": 2}}),
            &["spec.replicas and spec.autoscaling", "remove one"],
        ),
        (
            "zero workers, and no server to hold the requests",
            scaling(json!({"minReplicas": 0, "maxReplicas": 2})),
            &["spec.autoscaling.minReplicas", "nothing would hold the requests", "spec.replicas: 0"],
        ),
        (
            "fewest above most",
            scaling(json!({"minReplicas": 3, "maxReplicas": 2})),
            &["spec.autoscaling.maxReplicas", "at least minReplicas"],
        ),
        (
            "fewest by default above most",
            scaling(json!({"maxReplicas": 0})),
            &["spec.autoscaling.maxReplicas", "greater than or equal to 1"],
        ),
        (
            "a fallback beyond the bounds",
            scaling(json!({"maxReplicas": 2, "fallbackReplicas": 3})),
            &["spec.autoscaling.fallbackReplicas", "between minReplicas and maxReplicas"],
        ),
        (
            "KEDA without Prometheus",
            scaling(json!({"provider": "KEDA", "maxReplicas": 2})),
            &["spec.autoscaling.prometheusAddress", "KEDA reads the metrics there"],
        ),
        (
            "Prometheus without KEDA",
            scaling(json!({"maxReplicas": 2, "prometheusAddress": "http://prometheus"})),
            &["spec.autoscaling.prometheusAddress", "remove it with provider HPA"],
        ),
        (
            "an address that is none",
            scaling(json!({"provider": "KEDA", "maxReplicas": 2, "prometheusAddress": "http://a b"})),
            &["spec.autoscaling.prometheusAddress"],
        ),
        (
            "one metric twice",
            scaling(json!({"maxReplicas": 2, "metrics": [metric("QueueDepth"), metric("QueueDepth")]})),
            &["spec.autoscaling.metrics[1]", "Duplicate value"],
        ),
        (
            "an unknown metric",
            scaling(json!({"maxReplicas": 2, "metrics": [metric("Cpu")]})),
            &["spec.autoscaling.metrics[0].type", "\"QueueDepth\""],
        ),
    ]
}
