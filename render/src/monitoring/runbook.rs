//! The content of a runbook, and the steps that many runbooks share.

use belfry_crds::contract::{self, metrics};

use super::promql::{SeriesOf, by};

/// Content of the page of an alert, beside the alert's impact.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// What is known when the alert fires, and what is not.
    pub meaning: String,
    /// Questions, each with the command that answers it; the most useful question comes first.
    pub diagnosis: Vec<Step>,
    /// Causes, and how to remove each of them.
    pub mitigation: Vec<Cause>,
    /// When the alert stops, and what else can stop it.
    pub resolves: String,
}

/// A question and the command that answers it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The question.
    pub ask: &'static str,
    /// The command that answers it.
    pub with: Tool,
}

impl Step {
    /// Whether the reader has to fill in the model.
    pub(super) fn names_the_model(&self) -> bool {
        match &self.with {
            Tool::Shell(command) => command.contains("\"$MODEL\""),
            Tool::Query(expression) => expression.contains("\"MODEL\""),
        }
    }
}

/// The tool that answers a question.
#[derive(Clone, Debug)]
pub enum Tool {
    /// In a shell, with `NAMESPACE` and `MODEL` set.
    Shell(String),
    /// In Prometheus.
    Query(String),
}

/// A cause, and how to remove it.
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

/// A query of a runbook has `NAMESPACE` and `MODEL` in place of the model; the reader replaces both.
pub(super) fn query(ask: &'static str, expression: impl FnOnce(&SeriesOf) -> String) -> Step {
    Step { ask, with: Tool::Query(expression(&SeriesOf::named("NAMESPACE", "MODEL"))) }
}

pub(super) fn cause(cause: &str, cure: &str) -> Cause {
    Cause { cause: cause.into(), cure: cure.into() }
}

/// The model's conditions.
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

/// How the containers that were started again had ended.
pub(super) fn ends() -> [Step; 2] {
    let last = r#"-o jsonpath='{range .items[*]}{.metadata.name}: {.status.containerStatuses[0].lastState.terminated}{"\n"}{end}'"#;
    [
        shell("How did it end?", kubectl("get pods", last)),
        shell("What did it say last?", kubectl("logs", "--prefix --previous --tail=50")),
    ]
}

/// What a container means that was killed from outside.
pub(super) fn kills() -> [Cause; 2] {
    [
        cause(
            "Exit code 137, `OOMKilled`.",
            "Raise `spec.resources.limits.memory`, or lower `spec.runtime.batching.maxBatchTokens`.",
        ),
        cause(
            "Exit code 137, and not `OOMKilled`.",
            "The liveness probe ended it: the logs before the end say what it was busy with.",
        ),
    ]
}

pub(super) fn limits() -> Step {
    let columns = "-o custom-columns=POD:.metadata.name,LIMITS:.spec.containers[*].resources.limits";
    shell("What are the limits?", kubectl("get pods", columns))
}

pub(super) fn replicas() -> Step {
    query("How many replicas are wanted, made and ready?", |series| {
        by("max", &["state"], series.gauge(&metrics::MODEL_REPLICAS))
    })
}

/// A command about the children of the model.
pub(super) fn kubectl(command: &str, flags: &str) -> String {
    let text = format!("kubectl -n \"$NAMESPACE\" {command} -l {}=\"$MODEL\" {flags}", contract::MODEL_LABEL);
    text.trim_end().to_owned()
}
