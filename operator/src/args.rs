//! The command line.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use belfry_crds::contract::defaults;
use clap::Parser;

use crate::observe::Scope;
use crate::settings::Settings;

/// Runs InferenceModels: workers, monitoring, alerts and dashboards.
#[derive(Clone, Debug, Parser)]
#[command(name = "belfry-operator", version)]
pub struct Args {
    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, env = "BELFRY_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Image of workers whose specification names none.
    #[arg(long, env = "BELFRY_WORKER_IMAGE", default_value_t = Settings::default().worker_image)]
    pub worker_image: String,

    /// Where runbooks stand when a specification names no other place.
    #[arg(long, env = "BELFRY_RUNBOOK_BASE_URL", default_value = defaults::RUNBOOK_BASE_URL)]
    pub runbook_base_url: String,

    /// Namespaces whose models are served, with commas between them; all of them without this. With it a Role in each
    /// of them is enough.
    #[arg(long, env = "BELFRY_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// Work only while this operator holds the Lease belfry-operator: for installations with more than one replica.
    #[arg(long, env = "BELFRY_LEADER_ELECTION", requires = "own_namespace", requires = "identity")]
    pub leader_election: bool,

    /// Namespace of the operator itself, for the Lease.
    #[arg(long, env = "BELFRY_NAMESPACE")]
    pub own_namespace: Option<String>,

    /// What tells this operator from the others, for the Lease: the name of its pod.
    #[arg(long, env = "BELFRY_IDENTITY")]
    pub identity: Option<String>,

    /// Answer `/metrics` only to who shows a token of the cluster and has the right to `get` the URL `/metrics`.
    #[arg(long, env = "BELFRY_METRICS_AUTHENTICATION")]
    pub metrics_authentication: bool,

    /// Write logs as one JSON object a line.
    #[arg(long, env = "BELFRY_LOG_JSON")]
    pub json_logs: bool,
}

impl Args {
    /// The namespaces to watch.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let names: BTreeSet<_> = self.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
        if names.is_empty() { Scope::Cluster } else { Scope::Namespaces(names) }
    }

    /// The part that reaches the children.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { worker_image: self.worker_image.clone(), runbook_base_url: self.runbook_base_url.clone() }
    }
}
