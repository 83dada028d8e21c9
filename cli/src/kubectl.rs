//! kubectl: it knows where the API server is and who the user is, and so this program needs no TLS.

use std::io::{self, ErrorKind};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::children;

/// Most letters of kubectl's words in a message of ours.
const QUOTED: usize = 300;

/// Longest wait for an answer. kubectl itself asks again and again where there is no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How kubectl is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kubectl {
    context: Option<String>,
}

impl Kubectl {
    /// With a context of its configuration; without one, with that which it takes by itself.
    pub(crate) const fn new(context: Option<String>) -> Self {
        Self { context }
    }

    /// A call that has yet to get its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.args(self.context.iter().map(|context| format!("--context={context}")));
        command
    }

    /// What it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let mut command = self.command();
        command.args(arguments);
        let printed = match children::run(command, PATIENCE) {
            Ok(printed) => printed,
            Err(error) => bail!("kubectl {what}: {}", unstarted(&error)),
        };
        if !printed.status.success() {
            bail!("kubectl {what}: {}", last_line(&String::from_utf8_lossy(&printed.stderr)));
        }
        Ok(printed.stdout)
    }

    /// An object or a list that it prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let printed = self.run(&[arguments, &["--output=json", "--request-timeout=10s"]].concat())?;
        serde_json::from_slice(&printed).context("kubectl printed no JSON")
    }
}

/// Why kubectl could not be run.
pub(crate) fn unstarted(error: &anyhow::Error) -> String {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(ErrorKind::NotFound) => "kubectl is needed, and there is none in the PATH".to_owned(),
        _ => format!("{error:#}"),
    }
}

/// What kubectl said last, without signs that steer a terminal; the lines before are its log.
pub(crate) fn last_line(said: &str) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed, and did not say why");
    let line: Vec<char> = line.trim().chars().filter(|letter| !letter.is_control()).collect();
    let end = if line.len() > QUOTED { "…" } else { "" };
    line.iter().take(QUOTED).collect::<String>() + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_kubectl_says_the_last_line_counts() {
        let said = "E1130 memcache.go:265] couldn't get list\nThe connection to the server 1.2.3.4 was refused\n\n";
        assert_eq!(last_line(said), "The connection to the server 1.2.3.4 was refused");
        assert_eq!(last_line("\n"), "it failed, and did not say why");
        assert_eq!(last_line(&"x".repeat(999)).chars().count(), QUOTED + 1);
        assert_eq!(last_line("a\u{1b}[2Jb"), "a[2Jb");
    }
}
