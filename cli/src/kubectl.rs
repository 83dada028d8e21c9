//! kubectl: it knows where the API server is and who the user is, and so this program needs no TLS.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

/// Most letters of kubectl's words in a message of ours.
const QUOTED: usize = 200;

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
        command.stdin(Stdio::null()).args(self.context.iter().map(|context| format!("--context={context}")));
        command
    }

    /// What it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = self.command().args(arguments).output().map_err(|error| missing(&error))?;
        if !output.status.success() {
            let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
            bail!("kubectl {what}: {}", last_line(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(output.stdout)
    }

    /// An object or a list that it prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let printed = self.run(&[arguments, &["--output=json", "--request-timeout=10s"]].concat())?;
        serde_json::from_slice(&printed).context("kubectl printed no JSON")
    }
}

/// Why kubectl could not be started.
pub(crate) fn missing(error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("this needs kubectl, and there is none in the PATH"),
        _ => anyhow::anyhow!("kubectl can't be started: {error}"),
    }
}

/// What kubectl said last, without signs that steer a terminal; the lines before are its log.
pub(crate) fn last_line(said: &str) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed, and did not say why");
    line.trim().chars().filter(|letter| !letter.is_control()).take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_kubectl_says_the_last_line_counts() {
        let said = "E1130 memcache.go:265] couldn't get list\nThe connection to the server 1.2.3.4 was refused\n\n";
        assert_eq!(last_line(said), "The connection to the server 1.2.3.4 was refused");
        assert_eq!(last_line("\n"), "it failed, and did not say why");
        assert_eq!(last_line(&"x".repeat(999)).len(), QUOTED);
        assert_eq!(last_line("a\u{1b}[2Jb"), "a[2Jb");
    }
}
