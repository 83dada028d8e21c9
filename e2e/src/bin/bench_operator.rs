//! `make bench-operator`: what many models cost. Prints a table, and writes the same as JSON.
//!
//! A target that is missed is a measurement like any other; only a measurement that fails ends badly.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use belfry_e2e::bench::measurement::{publish, target_folder};
use belfry_e2e::bench::process::Program;
use belfry_e2e::bench::{Options, run};
use clap::Parser;

/// Measures the operator on control planes of its own, beside a plain client that sends the same.
#[derive(Parser)]
struct Args {
    /// Models, for one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000])]
    models: Vec<usize>,

    /// Requests of the plain client at once. Default: the fastest of four that are tried first.
    #[arg(long)]
    at_once: Option<usize>,

    /// Sample of config/samples that all models are made from.
    #[arg(long, default_value = "minimal")]
    sample: String,

    /// The operator's executable. Default: the release build.
    #[arg(long)]
    operator: Option<PathBuf>,

    /// Where the measurements are written. Default: bench/operator.json in Cargo's target folder.
    #[arg(long)]
    out: Option<PathBuf>,

    /// More arguments of the operator, after `--`.
    #[arg(last = true)]
    operator_args: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let path = args.operator.unwrap_or_else(|| target_folder().join("release/belfry-operator"));
    let path =
        path.canonicalize().with_context(|| format!("no operator at {}: run make bench-operator", path.display()))?;
    let operator = Program { path, args: args.operator_args };
    let options = Options { operator, sample: args.sample, models: args.models, at_once: args.at_once };
    publish("operator", args.out, &run(&options).await?)
}
