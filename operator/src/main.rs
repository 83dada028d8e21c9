//! The operator's process: arguments, logs, exit status.

use std::io::Write as _;
use std::process::ExitCode;

use belfry_operator::{args::Args, run::run};
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = belfry_logs::start(&args.logs()) {
        let _ = writeln!(std::io::stderr(), "belfry-operator: {error}");
        return ExitCode::FAILURE;
    }
    let code = match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("The operator ends: {error:#}");
            ExitCode::FAILURE
        }
    };
    belfry_logs::end();
    code
}
