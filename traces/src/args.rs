//! The flags that every program has that traces.

use crate::Settings;
use belfry_crds::contract::env;

/// Whether a program traces, and where spans are sent. The rest is in the variables that OpenTelemetry has for every program.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TraceArgs {
    /// Send spans to an OpenTelemetry collector, by OTLP
    #[arg(long, env = env::ENABLE_TRACE, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = belfry_logs::switch, action = clap::ArgAction::Set)]
    pub enable_trace: bool,
    /// The collector, as host:port or a URL; else `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `localhost:4317`
    #[arg(long, env = env::OTLP_TRACES_ENDPOINT, value_name = "ENDPOINT")]
    pub otlp_traces_endpoint: Option<String>,
}

impl TraceArgs {
    /// Where spans are sent; `None` where none are.
    ///
    /// # Errors
    /// A flag or a variable can't be used; the text names it.
    pub fn settings(&self) -> Result<Option<Settings>, String> {
        if !self.enable_trace {
            return Ok(None);
        }
        let settings = Settings::read(
            self.otlp_traces_endpoint.as_deref().map(str::trim).filter(|endpoint| !endpoint.is_empty()),
        )?;
        if settings.is_none() {
            tracing::info!("Nothing is traced: OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER turns it off");
        }
        Ok(settings)
    }
}
