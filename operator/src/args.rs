//! The command line.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use belfry_crds::contract::defaults;
use belfry_logs::Options;
use belfry_traces::TraceArgs;
use clap::{Parser, ValueEnum};
use http::Uri;

use crate::fleet::Prices;
use crate::observe::WatchScope;
use crate::scaling::ScalingArgs;
use crate::upgrade::Policy;
use belfry_render::settings::Settings;

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

    /// Address of Grafana, such as `https://grafana.example.com`: pages then link the model's dashboard there.
    #[arg(long, env = "BELFRY_GRAFANA_URL")]
    pub grafana_url: Option<Uri>,

    /// Who moves models to the pod template and the worker image of this operator.
    #[arg(long, env = "BELFRY_TEMPLATE_UPGRADES", value_enum, default_value_t, ignore_case = true)]
    pub template_upgrades: TemplateUpgrades,

    /// Models that a staged upgrade moves at the same time, 1 to 100.
    #[arg(long, env = "BELFRY_TEMPLATE_UPGRADES_AT_ONCE", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub template_upgrades_at_once: u8,

    /// Seconds that a moved model must be ready before the next one moves, 0 to 86400.
    #[arg(long, env = "BELFRY_TEMPLATE_UPGRADES_SOAK_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub template_upgrades_soak_seconds: u32,

    /// Address of the Prometheus that evaluates the models' rules, such as `http://prometheus.monitoring:9090`. With it each model
    /// says whether its rules are evaluated and its workers scraped. While an alert about availability or an objective fires
    /// for a model that a staged upgrade moved, it moves no other; without this only readiness counts.
    #[arg(long, env = "BELFRY_PROMETHEUS_URL", value_parser = prometheus_url)]
    pub prometheus_url: Option<Uri>,

    /// What an hour of CPU, memory and GPUs costs, as JSON: `{"currency": "USD", "rows": [{"gpu": "NVIDIA-L4", "capacityType":
    /// "spot", "perGPU": 0.21, "perCore": 0.02, "perGiB": 0.003}]}`. The first row that fits a node counts. With it there are
    /// series of what models cost.
    #[arg(long, env = "BELFRY_PRICES", value_name = "JSON")]
    pub prices: Option<Prices>,

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

    /// The name of this operator in the Lease: that of its pod.
    #[arg(long, env = "BELFRY_IDENTITY")]
    pub identity: Option<String>,

    /// Answer `/metrics` only to who shows a token of the cluster and has the right to `get` the URL `/metrics`.
    #[arg(long, env = "BELFRY_METRICS_AUTHENTICATION")]
    pub metrics_authentication: bool,

    /// Write logs as one JSON object a line.
    #[arg(long, env = "BELFRY_LOG_JSON", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = belfry_logs::switch, action = clap::ArgAction::Set)]
    pub json_logs: bool,

    /// What to log: a level, or a filter such as `belfry_operator=debug`. Empty is info.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Log what this program itself has to say at debug, too.
    #[arg(short, long)]
    pub verbose: bool,

    /// Whether it traces.
    #[command(flatten)]
    pub traces: TraceArgs,

    /// External metrics for HorizontalPodAutoscalers.
    #[command(flatten)]
    pub scaling: ScalingArgs,
}

/// Who moves models to the pod template and the worker image of this operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum TemplateUpgrades {
    /// Their users, each by `spec.runtime`. An upgrade of the operator moves none.
    #[default]
    Manual,
    /// The operator, some at a time. It waits until they are ready again, and stops while one of them does not answer.
    Staged,
}

/// An address that a request can be sent to. A query would get in the way of the questions.
fn prometheus_url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    let is_address =
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
    if is_address { Ok(uri) } else { Err("write it as http://HOST:PORT or https://HOST:PORT/PATH".into()) }
}

impl Args {
    /// What is logged, and how.
    #[must_use]
    pub fn logs(&self) -> Options<'_> {
        Options { filter: &self.log, verbose: self.verbose.then_some("belfry_operator"), json: self.json_logs }
    }

    /// How fast a staged upgrade goes; `None` when users move their models themselves.
    #[must_use]
    pub fn upgrades(&self) -> Option<Policy> {
        (self.template_upgrades == TemplateUpgrades::Staged).then(|| Policy {
            at_once: self.template_upgrades_at_once.into(),
            soak_seconds: self.template_upgrades_soak_seconds.into(),
        })
    }

    /// The namespaces to watch.
    #[must_use]
    pub fn scope(&self) -> WatchScope {
        let names: BTreeSet<_> = self.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
        if names.is_empty() { WatchScope::Cluster } else { WatchScope::Namespaces(names) }
    }

    /// The part that reaches the children.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            worker_image: self.worker_image.clone(),
            runbook_base_url: self.runbook_base_url.clone(),
            grafana_url: self.grafana_url.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prometheus_is_named_by_a_whole_address() {
        for address in ["http://prometheus.monitoring:9090", "https://prometheus.example/prometheus"] {
            assert_eq!(prometheus_url(address).unwrap(), address.parse::<Uri>().unwrap());
        }
        for address in ["prometheus:9090", "/api", "ftp://host", "http://host/?a=b", ""] {
            assert!(prometheus_url(address).is_err(), "{address}");
        }
    }
}
