//! Runbooks: what a person does when an alert rings, as one page of Markdown each.

use std::fmt::Write as _;

use belfry_crds::contract;

use super::alert::{Alert, Rules};
use super::alerts;
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
    fn names_the_model(&self) -> bool {
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

/// The page of an alert, with what it says when it fires for the model of the rule tests.
#[must_use]
pub fn page(alert: &Alert) -> String {
    let Runbook { meaning, diagnosis, mitigation, resolves } = (alert.runbook)();
    let mut page = format!("# {}\n\n{}\n", alert.name, super::reference::GENERATED);
    let _ = writeln!(page, "\n## Meaning\n\n{meaning}\n\n## Impact\n\n{}\n\n## Diagnosis", alert.impact);
    if matches!(alert.rules, Rules::Model(..)) || diagnosis.iter().any(Step::names_the_model) {
        page.push_str("\nTake both values from the labels of the alert; in queries, put them in place of `NAMESPACE` and `MODEL`.\n");
        page.push_str("\n```sh\nNAMESPACE=…  # label namespace\nMODEL=…      # label model\n```\n");
    }
    for (number, Step { ask, with }) in diagnosis.iter().enumerate() {
        let (language, command) = match with {
            Tool::Shell(command) => ("sh", command),
            Tool::Query(expression) => ("promql", expression),
        };
        let end = if ask.ends_with('?') { "" } else { "." };
        let _ = write!(page, "\n{}. {ask}{end}\n\n   ```{language}\n", number + 1);
        command.lines().for_each(|line| page.extend(["   ", line, "\n"]));
        page.push_str("   ```\n");
    }
    page.push_str("\n## Mitigation\n\n");
    for Cause { cause, cure } in mitigation {
        let _ = writeln!(page, "- **{cause}** {cure}");
    }
    let _ = writeln!(page, "\n## When it resolves\n\n{resolves}");
    page
}

/// The list of all pages.
#[must_use]
pub fn index() -> String {
    let mut page = format!("# Runbooks\n\n{}\n\n{INTRODUCTION}\n\n", super::reference::GENERATED);
    page.push_str("| alert | profile | severity | category | impact |\n|---|---|---|---|---|\n");
    for alert in alerts() {
        let _ = writeln!(
            page,
            "| [{}]({}) | {} | {} | {} | {} |",
            alert.name,
            alert.runbook_file(),
            profile(alert),
            alert.severities.iter().map(|severity| severity.as_str()).collect::<Vec<_>>().join(", "),
            alert.category.as_str(),
            alert.impact
        );
    }
    page.push_str(INHIBITION);
    page
}

/// The first profile that it belongs to; every installation has those about the operator.
const fn profile(alert: &Alert) -> &'static str {
    match alert.rules {
        Rules::Model(from, _) => from.as_str(),
        Rules::Operator(_) => "",
    }
}

const INTRODUCTION: &str = "One page for each alert. `critical` wakes somebody: users are hurt now, or nobody would notice if they were. \
`warning` waits for the working day. Every alert resolves by itself. `spec.observability.alerts` chooses a profile (`Standard` has the alerts of `Minimal`, too), and \
changes single alerts by name.";

const INHIBITION: &str = r#"
## One page for each incident

A model that is down also fails its requests and burns its budget. These rules for Alertmanager leave the alert that is nearest
to the cause:

```yaml
inhibit_rules:
- source_matchers: [alertname = InferenceModelDown]
  target_matchers: [alertname =~ "InferenceModelOutage|InferenceErrorBudgetBurn|InferenceLatencyBudgetBurn|InferenceTargetsAbsent|InferenceWorkerDown|InferenceModelNotLoaded"]
  equal: [namespace, model]
- source_matchers: [alertname = InferenceModelOutage]
  target_matchers: [alertname =~ "InferenceErrorBudgetBurn|InferenceLatencyBudgetBurn"]
  equal: [namespace, model]
- source_matchers: [alertname = InferenceOperatorWatchRestarts]
  target_matchers: [alertname = InferenceOperatorReconcileErrors]
- source_matchers: [alertname =~ "InferenceOperatorDown|InferenceOperatorNoLeader"]
  target_matchers: [alertname =~ "InferenceModelStuck|InferenceOperatorQueueStuck"]
- source_matchers: [severity = critical]
  target_matchers: [severity = warning]
  equal: [namespace, model, alertname]
```

Warnings that name a cause (InferenceModelLoadFailed, InferenceWorkerCrashLooping, InferenceWorkerUnschedulable,
InferenceImagePullFailing) are not inhibited: they are the answer to the page.
"#;
