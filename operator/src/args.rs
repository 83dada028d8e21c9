//! The command line.

use std::net::SocketAddr;

use belfry_crds::contract::defaults;
use clap::Parser;

use crate::scaling::ScalingArgs;
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

    /// Write logs as one JSON object a line.
    #[arg(long, env = "BELFRY_LOG_JSON")]
    pub json_logs: bool,

    /// External metrics for HorizontalPodAutoscalers.
    #[command(flatten)]
    pub scaling: ScalingArgs,
}

impl Args {
    /// The part that reaches the children.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { worker_image: self.worker_image.clone(), runbook_base_url: self.runbook_base_url.clone() }
    }
}
