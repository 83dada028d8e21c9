//! Where the external metrics are served.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Where the external metrics are served.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ScalingArgs {
    /// Address of the external metrics, over TLS. Without it models are scaled by KEDA or not at all.
    #[arg(long, env = "BELFRY_EXTERNAL_METRICS_LISTEN")]
    pub external_metrics_listen: Option<SocketAddr>,

    /// The Service that leads the API server there, NAMESPACE/NAME or NAMESPACE/NAME:PORT.
    #[arg(long, env = "BELFRY_EXTERNAL_METRICS_SERVICE", default_value = "belfry-system/belfry-operator")]
    pub external_metrics_service: ServiceName,

    /// The ClusterRole with which the APIService goes when the operator is uninstalled. Without it the operator alone
    /// deletes the APIService, when it ends.
    #[arg(long, env = "BELFRY_EXTERNAL_METRICS_ROLE")]
    pub external_metrics_role: Option<String>,
}

/// Namespace and name of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
}

/// The port that the chart gives its Service.
pub(super) const HTTPS: u16 = 443;

impl ServiceName {
    pub(super) fn dns_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write NAMESPACE/NAME or NAMESPACE/NAME:PORT";
        let (namespace, service) = text.split_once('/').ok_or(FORM)?;
        let (name, port) = match service.split_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| FORM)?),
            None => (service, HTTPS),
        };
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(FORM);
        }
        Ok(Self { namespace: namespace.into(), name: name.into(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_namespace_a_name_and_perhaps_a_port() {
        let service = |port| Ok(ServiceName { namespace: "system".into(), name: "operator".into(), port });
        assert_eq!("system/operator".parse(), service(443));
        assert_eq!("system/operator:8443".parse(), service(8443));
        for text in ["operator", "/operator", "system/", "system/operator:", "system/operator:x", "a/b/c"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
    }
}
