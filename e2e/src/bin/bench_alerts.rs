//! `make bench-alerts`: real faults in real pods, and what a person hears of them. Prints a table, and writes the same as JSON.
//!
//! A target that is missed is a measurement like any other; only a measurement that fails ends badly.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use belfry_e2e::alone_in_the_cluster;
use belfry_e2e::bells::compress::Factor;
use belfry_e2e::bells::{Options, run};
use belfry_e2e::bench::measurement::publish;
use clap::Parser;

/// Plays faults in pods of the local cluster, and measures what is heard of them.
#[derive(Parser)]
struct Args {
    /// Every fault is played once for each seed.
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    seeds: Vec<u64>,

    /// By how much time is compressed; 1 leaves windows and pauses as they are.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    factor: u32,

    /// Names of the faults to play. Default: all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Where the measurements are written. Default: bench/alerts.json in Cargo's target folder.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut measured = vec![];
    let outcome = alone_in_the_cluster("bells", async |namespace| {
        let folder = namespace.cluster.state.join("e2e/bells");
        let options = Options { seeds: args.seeds, factor: Factor(args.factor), only: args.only, folder };
        measured = Box::pin(run(namespace, &options)).await?;
        Ok(())
    });
    Box::pin(outcome).await.map_err(|failure| anyhow!("{failure:?}"))?;
    publish("alerts", args.out, &measured)
}
