//! What a runbook holds, and the steps that many of them share.

use belfry_crds::contract;

use super::promql::Scope;

/// What stands on the page of an alert, beside its impact.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// What is known when it fires, and what is not.
    pub meaning: String,
    /// Questions, each with the command that answers it, most telling first.
    pub diagnosis: Vec<Step>,
    /// What the answers mean, and what helps.
    pub mitigation: Vec<Cause>,
    /// When it stops, and what else stops it.
    pub resolves: String,
}

/// A question and the command that answers it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the answer tells.
    pub ask: &'static str,
    /// Where to ask.
    pub with: Tool,
}

impl Step {
    /// Whether the reader has to put in which model.
    pub(super) fn names_the_model(&self) -> bool {
        match &self.with {
            Tool::Shell(command) => command.contains("\"$MODEL\""),
            Tool::Query(expression) => expression.contains("\"MODEL\""),
        }
    }
}

/// Where a question is asked.
#[derive(Clone, Debug)]
pub enum Tool {
    /// In a shell, with `NAMESPACE` and `MODEL` set.
    Shell(String),
    /// In Prometheus.
    Query(String),
}

/// A cause, and what helps against it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What the diagnosis shows.
    pub cause: String,
    /// What to do then.
    pub cure: String,
}

pub(super) fn shell(ask: &'static str, command: impl Into<String>) -> Step {
    Step { ask, with: Tool::Shell(command.into()) }
}

/// A query of a runbook names the model by what the reader replaces.
pub(super) fn query(ask: &'static str, expression: impl FnOnce(&Scope) -> String) -> Step {
    Step { ask, with: Tool::Query(expression(&Scope::named("NAMESPACE", "MODEL"))) }
}

pub(super) fn cause(cause: &str, cure: &str) -> Cause {
    Cause { cause: cause.into(), cure: cure.into() }
}

/// What the operator knows of the model.
pub(super) fn conditions() -> Step {
    shell(
        "What does the operator say? The first condition that is not `True` names the cause",
        r#"kubectl -n "$NAMESPACE" get inferencemodel "$MODEL" \
  -o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}'"#,
    )
}

pub(super) fn pods() -> Step {
    shell("Which pods are there, and on which nodes?", kubectl("get pods", "-o wide"))
}

pub(super) fn describe() -> Step {
    shell("What did the scheduler and the kubelet say? Read the events at the end", kubectl("describe pods", ""))
}

pub(super) fn logs() -> Step {
    shell("What do the workers say?", kubectl("logs", "--prefix --tail=50"))
}

/// A command about the children of the model.
pub(super) fn kubectl(command: &str, flags: &str) -> String {
    let text = format!("kubectl -n \"$NAMESPACE\" {command} -l {}=\"$MODEL\" {flags}", contract::MODEL_LABEL);
    text.trim_end().to_owned()
}
