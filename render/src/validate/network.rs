//! `spec.network`, with defaults applied.

use std::collections::BTreeSet;

use belfry_crds::contract::defaults;
use belfry_crds::inference_model::{Network, PodTemplate, PolicyMode};

use crate::model::{ValidNetwork, ValidPolicy};

/// Port of DNS, unless the specification names others.
const DNS: i32 = 53;

/// Variables that name a proxy. Programs read them in small letters too.
const PROXIES: &[&str] = &["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

pub(super) fn network(spec: Option<&Network>, pods: Option<&PodTemplate>) -> ValidNetwork {
    let spec = spec.cloned().unwrap_or_default();
    let rules = spec.network_policy.unwrap_or_default();
    let policy = match rules.mode.unwrap_or_default() {
        PolicyMode::None => None,
        PolicyMode::Generated => Some(ValidPolicy {
            allow_from: rules.allow_from,
            prometheus_namespace: rules.prometheus_namespace,
            egress_ports: rules.egress_ports.into_iter().chain(proxies(pods)).collect(),
            dns_ports: if rules.dns_ports.is_empty() { vec![DNS] } else { rules.dns_ports },
        }),
    };
    ValidNetwork { port: spec.port.unwrap_or(defaults::SERVICE_PORT), policy }
}

/// Ports of the proxies whose addresses the specification shows.
fn proxies(pods: Option<&PodTemplate>) -> BTreeSet<i32> {
    let variables = pods.into_iter().flat_map(|pods| &pods.env);
    let proxies = variables.filter(|variable| PROXIES.iter().any(|name| variable.name.eq_ignore_ascii_case(name)));
    proxies.filter_map(|variable| port(variable.value.as_deref()?)).collect()
}

/// Port of a proxy's address, which may leave out its scheme and hold a login.
fn port(address: &str) -> Option<i32> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    let host = authority.rsplit('@').next().unwrap_or_default();
    let given = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    given.or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        scheme if scheme.starts_with("socks") => Some(1080),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_proxy_is_read_from_its_address() {
        for (address, expected) in [
            ("http://proxy.example:3128", Some(3128)),
            ("proxy.example:3128/", Some(3128)),
            ("http://user:p4ss@proxy.example:8080", Some(8080)),
            ("http://proxy.example", Some(80)),
            ("https://proxy.example", Some(443)),
            ("socks5h://proxy.example", Some(1080)),
            ("", None),
        ] {
            assert_eq!(port(address), expected, "{address}");
        }
    }
}
