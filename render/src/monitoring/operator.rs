//! Steps of runbooks about the operator.

use super::OPERATOR_JOB;
use super::runbook::{Step, Tool, shell};

/// A question to Prometheus about the operator.
pub(super) fn query(ask: &'static str, expression: impl Into<String>) -> Step {
    Step { ask, with: Tool::Query(expression.into()) }
}

/// A command about the pods of the operator.
pub(super) fn kubectl(ask: &'static str, command: &str, flags: &str) -> Step {
    // Logs are those of one namespace; other commands find the operator wherever it was installed.
    let place = if command == "logs" { "-n belfry-system" } else { "-A" };
    let command = format!("kubectl {command} {place} -l app.kubernetes.io/name={OPERATOR_JOB} {flags}");
    shell(ask, command.trim_end())
}
