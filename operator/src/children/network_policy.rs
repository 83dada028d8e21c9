//! Who may talk to the workers, and whom they may talk to.
//!
//! Anybody in the cluster may call the one port, Prometheus and the kubelet among them. A worker
//! that reads a claim talks to nobody; one that downloads may ask for names and reach its hub or bucket.

use belfry_crds::contract::PORT_NAME;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{Component, object_meta, selector};
use crate::validate::{ValidModel, ValidSource};

/// The NetworkPolicy of a model.
#[must_use]
pub fn network_policy(model: &ValidModel) -> NetworkPolicy {
    NetworkPolicy {
        metadata: object_meta(model, Component::Worker),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(model)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![port("TCP", IntOrString::String(PORT_NAME.into()))]),
                ..Default::default()
            }]),
            // Named even where it is empty, so that a rule that somebody adds is taken away again.
            egress: Some(egress(&model.source)),
        }),
    }
}

fn egress(source: &ValidSource) -> Vec<NetworkPolicyEgressRule> {
    let Some(endpoint) = source.endpoint() else { return vec![] };
    let mut ports = vec![port("UDP", IntOrString::Int(53)), port("TCP", IntOrString::Int(53))];
    // The hub redirects weights to storage on other hosts, so the port is all that can be named.
    ports.push(port("TCP", IntOrString::Int(443)));
    let own = endpoint_port(endpoint);
    if own != 443 {
        ports.push(port("TCP", IntOrString::Int(own)));
    }
    vec![NetworkPolicyEgressRule { ports: Some(ports), ..Default::default() }]
}

/// Port of an address that the CRD's pattern admitted; without an address, that of the public one.
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
    use super::*;

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
