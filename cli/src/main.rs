//! The command line of Belfry: arguments, output, exit status.

mod alertmanagers;
mod baseline;
mod bundle;
mod children;
mod diff;
mod signals;
mod kubectl;
mod render;
mod runbook;
mod top;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Works with InferenceModels and their workers from outside the cluster.
#[derive(Parser)]
#[command(name = "belfry", version)]
struct Args {
    /// Write errors as one JSON object a line.
    #[arg(long, global = true, env = "BELFRY_LOG_JSON", num_args = 0..=1, default_value = "false", default_missing_value = "true", require_equals = true, value_parser = belfry_logs::switch, action = clap::ArgAction::Set)]
    json_logs: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the objects that the operator would apply for the models in a file.
    Render(render::Args),
    /// Say which models would restart their pods between two versions of the operator, and why. Ends with 0 when none
    /// would, with 2 when one or more would, and with 1 when that is not known.
    Diff(diff::Args),
    /// Print what to do about an alert.
    Runbook(runbook::Args),
    /// Collect what is known of a model, for who is on call: one archive with one page.
    Bundle(bundle::Args),
    /// Print the texts of a model's last hour, as counts, in a ConfigMap that its workers then compare with.
    Baseline(baseline::Args),
    /// Show workers as they are now: devices, models, and the last minute of each.
    Top(top::Args),
}

fn main() -> ExitCode {
    let Args { json_logs, command } = Args::parse();
    let output = match command {
        Command::Render(args) => render::render(&args).map(|text| (text, ExitCode::SUCCESS)),
        Command::Diff(args) => diff::diff(&args),
        Command::Runbook(args) => runbook::runbook(&args).map(|text| (text, ExitCode::SUCCESS)),
        Command::Bundle(args) => bundle::bundle(&args).map(|text| (text, ExitCode::SUCCESS)),
        Command::Baseline(args) => baseline::baseline(&args).map(|text| (text, ExitCode::SUCCESS)),
        Command::Top(args) => top::top(&args),
    };
    let written = output.and_then(|(text, code)| {
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(code)
    });
    match written {
        Ok(code) => code,
        Err(error) => {
            // One line: what, where, why.
            let line = format!("{error:#}");
            let line = if json_logs { belfry_logs::error_line("belfry", &line) } else { format!("belfry: {line}") };
            let _ = writeln!(std::io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}
