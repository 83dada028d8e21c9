//! What the worker logs, and how.

use belfry_crds::contract::env;
use belfry_logs::Options;

/// What the worker logs, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// Write logs as one JSON object a line
    #[arg(long, alias = "log-json", env = env::LOG_JSON, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = belfry_logs::switch, action = clap::ArgAction::Set)]
    pub json_logs: bool,
    /// What to log: a level, or a filter such as `belfry_worker=debug`. Empty is info
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// Log what this program itself has to say at debug, too
    #[arg(short, long)]
    pub verbose: bool,
    /// Share of the answered requests that get a line: 0 for none, 0.01 for one of a hundred, 1 for all. One that failed or was refused always
    /// has one
    #[arg(long, env = env::LOG_REQUESTS, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub log_requests: f64,
}

impl LogArgs {
    /// The same for the logs.
    pub fn options(&self) -> Options<'_> {
        Options { filter: &self.log, verbose: self.verbose.then_some("belfry_worker"), json: self.json_logs }
    }
}

fn share(text: &str) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(0.0);
    }
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_lies_between_none_and_all() {
        assert_eq!((share("0"), share("0.01"), share("1")), (Ok(0.0), Ok(0.01), Ok(1.0)));
        assert_eq!(share(""), Ok(0.0), "a variable that is set to nothing");
        for bad in ["-0.1", "1.01", "NaN", "inf", "half", "1%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
