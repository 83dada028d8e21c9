//! The worker of Belfry: serves one model over HTTP.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    belfry_worker::run(&belfry_worker::Args::parse())
}
