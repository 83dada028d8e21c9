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

    /// The Service that leads the API server there, NAMESPACE/NAME.
    #[arg(long, env = "BELFRY_EXTERNAL_METRICS_SERVICE", default_value = "belfry-system/belfry-operator")]
    pub external_metrics_service: ServiceName,
}

/// Namespace and name of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

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
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.into(), name: name.into() })
            }
            _ => Err("write NAMESPACE/NAME"),
        }
    }
}
