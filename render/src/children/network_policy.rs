//! The traffic that may reach the workers, and the traffic that they may send.
//!
//! If the specification names no peers, every pod of the cluster may call the workers' port, and so may the kubelet. If it
//! names peers, only they may call it, and Prometheus may read the metrics. A worker that reads a claim may send nothing; a
//! worker that downloads may resolve names and reach its hub or bucket. A proxy and the ports of the specification are added.

use std::collections::BTreeMap;

use belfry_crds::contract::{METRICS_PORT_NAME, PORT_NAME};
use belfry_crds::inference_model::Peer;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{Component, MANAGER, object_meta, selector};
use crate::model::{Scaler, ValidModel, ValidPolicy};

/// The NetworkPolicy of a model, unless the specification switches it off.
#[must_use]
pub fn network_policy(model: &ValidModel) -> Option<NetworkPolicy> {
    let policy = model.network.policy.as_ref()?;
    Some(NetworkPolicy {
        metadata: object_meta(model, Component::Worker),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(model)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(ingress(model, policy)),
            // Written even if it is empty, so that an apply removes rules that others add.
            egress: Some(egress(model, policy)),
        }),
    })
}

fn ingress(model: &ValidModel, policy: &ValidPolicy) -> Vec<NetworkPolicyIngressRule> {
    let named = |name: &str| port("TCP", IntOrString::String(name.into()));
    let has_metrics_port = model.metrics_port().is_some();
    let metrics = named(if has_metrics_port { METRICS_PORT_NAME } else { PORT_NAME });
    if policy.allow_from.is_empty() {
        let mut ports = vec![named(PORT_NAME)];
        ports.extend(has_metrics_port.then_some(metrics));
        return vec![NetworkPolicyIngressRule { ports: Some(ports), from: None }];
    }
    let callers = policy.allow_from.iter().map(peer).collect();
    let mut readers = vec![prometheus(policy.prometheus_namespace.as_deref())];
    // Belfry's own worker is asked what it has loaded.
    let is_scaled_by_us = model.autoscaling.as_ref().is_some_and(|scaling| scaling.scaler == Scaler::Hpa);
    readers.extend((is_scaled_by_us || model.engine.is_none()).then(operator));
    vec![
        NetworkPolicyIngressRule { ports: Some(vec![named(PORT_NAME)]), from: Some(callers) },
        NetworkPolicyIngressRule { ports: Some(vec![metrics]), from: Some(readers) },
    ]
}

fn peer(peer: &Peer) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: labels(&peer.namespace_labels),
        pod_selector: labels(&peer.pod_labels),
        ..Default::default()
    }
}

/// Peers of Prometheus: the Prometheus Operator sets this label on every Prometheus.
fn prometheus(namespace: Option<&str>) -> NetworkPolicyPeer {
    let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    NetworkPolicyPeer {
        namespace_selector: Some(match namespace {
            Some(name) => labels(&label("kubernetes.io/metadata.name", name)).unwrap_or_default(),
            None => LabelSelector::default(),
        }),
        pod_selector: labels(&label("app.kubernetes.io/name", "prometheus")),
        ..Default::default()
    }
}

/// The operator in any namespace: it reads the load of the workers.
fn operator() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: labels(&BTreeMap::from([("app.kubernetes.io/name".to_owned(), MANAGER.to_owned())])),
        ..Default::default()
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Option<LabelSelector> {
    (!labels.is_empty()).then(|| LabelSelector { match_labels: Some(labels.clone()), ..Default::default() })
}

fn egress(model: &ValidModel, policy: &ValidPolicy) -> Vec<NetworkPolicyEgressRule> {
    let mut targets = vec![];
    if let Some(endpoint) = model.source.endpoint() {
        // The hub redirects downloads to storage on other hosts, so only the port can be named.
        targets.extend([443, endpoint_port(endpoint)]);
    }
    targets.extend(model.monitoring.tracing.iter().map(|tracing| endpoint_port(&tracing.endpoint)));
    targets.extend(&policy.egress_ports);
    if targets.is_empty() {
        return vec![];
    }
    let names = policy.dns_ports.iter().flat_map(|dns| ["UDP", "TCP"].map(|protocol| (protocol, *dns)));
    let all = names.chain(targets.into_iter().map(|target| ("TCP", target)));
    let mut ports = vec![];
    for port in all.map(|(protocol, number)| port(protocol, IntOrString::Int(number))) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    vec![NetworkPolicyEgressRule { ports: Some(ports), ..Default::default() }]
}

/// Port of an address that matches the CRD's pattern; the empty address means a public service.
fn endpoint_port(endpoint: &str) -> i32 {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let authority = rest.split('/').next().unwrap_or_default();
    let given = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    given.unwrap_or(if scheme == "http" { 80 } else { 443 })
}

fn port(protocol: &str, port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(port), protocol: Some(protocol.into()), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use belfry_crds::InferenceModel;

    use super::*;
    use crate::settings::Settings;
    use crate::validate::validate;

    #[test]
    fn the_operator_is_let_in_where_it_reads_the_workers() {
        let lets_operator_in = |engine: serde_json::Value, more: serde_json::Value| {
            let policy = serde_json::json!({"allowFrom": [{"podLabels": {"app": "caller"}}]});
            let mut spec = serde_json::json!({
                "task": "Embedding", "model": {"source": {"pvc": {"claimName": "c"}}}, "network": {"networkPolicy": policy},
            });
            (spec["engine"], spec["autoscaling"]) = (engine, more);
            let model = InferenceModel::new("m", serde_json::from_value(spec).unwrap());
            let policy = network_policy(&validate(&model, &Settings::default()).unwrap());
            serde_json::to_string(&policy).unwrap().contains(MANAGER_LABEL)
        };
        let (nothing, vllm) = (serde_json::Value::Null, serde_json::json!({"type": "VLLM", "image": "v:1"}));
        let keda = serde_json::json!({"provider": "KEDA", "maxReplicas": 2, "prometheusAddress": "http://p"});
        assert!(lets_operator_in(nothing.clone(), nothing.clone()), "it asks Belfry's own worker what it has loaded");
        assert!(lets_operator_in(vllm.clone(), serde_json::json!({"maxReplicas": 2})));
        assert!(!lets_operator_in(vllm.clone(), nothing));
        assert!(!lets_operator_in(vllm, keda));
    }

    fn egress_of(source: serde_json::Value, rules: serde_json::Value, env: serde_json::Value) -> Vec<(String, i32)> {
        let spec = serde_json::json!({
            "task": "Embedding", "model": {"source": source}, "network": {"networkPolicy": rules},
            "podTemplate": {"env": env},
        });
        let model = InferenceModel::new("m", serde_json::from_value(spec).unwrap());
        let policy = network_policy(&validate(&model, &Settings::default()).unwrap()).unwrap();
        let rules = policy.spec.unwrap().egress.unwrap();
        let ports = rules.into_iter().flat_map(|rule| rule.ports.unwrap());
        let number = |port: Option<IntOrString>| match port {
            Some(IntOrString::Int(number)) => number,
            other => panic!("{other:?}"),
        };
        ports.map(|port| (port.protocol.unwrap(), number(port.port))).collect()
    }

    #[test]
    fn egress_follows_the_proxy_and_the_ports_that_the_specification_names() {
        let tcp = |number: i32| ("TCP".to_owned(), number);
        let dns = |number: i32| [("UDP".to_owned(), number), tcp(number)];
        let hub = || serde_json::json!({"huggingFace": {"repo": "a/b", "revision": "main"}});
        let claim = || serde_json::json!({"pvc": {"claimName": "c"}});
        let none = || serde_json::json!([]);
        let proxy = serde_json::json!([{"name": "https_proxy", "value": "http://proxy.example:3128"}]);
        let with_dns = |dns: [(String, i32); 2], ports: &[i32]| {
            dns.into_iter().chain(ports.iter().map(|port| tcp(*port))).collect::<Vec<_>>()
        };
        assert_eq!(egress_of(hub(), serde_json::json!({}), none()), with_dns(dns(53), &[443]));
        assert_eq!(egress_of(hub(), serde_json::json!({}), proxy), with_dns(dns(53), &[443, 3128]));
        let rules = serde_json::json!({"dnsPorts": [5353], "egressPorts": [3128, 443]});
        assert_eq!(egress_of(hub(), rules.clone(), none()), with_dns(dns(5353), &[443, 3128]));
        assert_eq!(egress_of(claim(), rules, none()), with_dns(dns(5353), &[443, 3128]));
        assert_eq!(egress_of(claim(), serde_json::json!({}), none()), []);
    }

    const MANAGER_LABEL: &str = r#""podSelector":{"matchLabels":{"app.kubernetes.io/name":"belfry-operator"}}"#;

    #[test]
    fn the_port_of_a_mirror_is_read_from_its_address() {
        for (endpoint, port) in [
            ("https://hub.example", 443),
            ("http://hub.example", 80),
            ("http://hub.example:8081/mirror", 8081),
            ("https://hub.example/a:b", 443),
            ("", 443),
        ] {
            assert_eq!(endpoint_port(endpoint), port, "{endpoint}");
        }
    }
}
