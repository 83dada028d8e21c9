//! Runbooks as pages of Markdown, one for each alert, and the list of all pages. A runbook says what to do about its alert.

use std::fmt::Write as _;

use super::alert::{Alert, AlertRules};
use super::alerts::alerts;
use super::inhibition::{self, TABLE};
use super::reference::GENERATED;
use super::runbook::{Cause, Runbook, Step, Tool};

/// The page of an alert.
#[must_use]
pub fn page(alert: &Alert) -> String {
    written(alert, None)
}

/// Whether a text may stand for a namespace or a model in a page. It becomes a part of commands that people copy.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (1..=253).contains(&text.len()) && text.bytes().all(is_plain)
}

/// The page of an alert about this model: what it would have the reader fill in is there.
#[must_use]
pub fn page_about(alert: &Alert, namespace: &str, model: &str) -> String {
    written(alert, Some((namespace, model)))
}

fn written(alert: &Alert, subject: Option<(&str, &str)>) -> String {
    let Runbook { meaning, diagnosis, mitigation, resolves } = (alert.runbook)();
    let mut page = format!("# {}\n\n{}\n", alert.name, GENERATED);
    let _ = writeln!(page, "\n## Meaning\n\n{meaning}\n\n## Impact\n\n{}\n\n## Diagnosis", alert.impact);
    if names_a_model(alert, &diagnosis) {
        let (namespace, model) =
            subject.map_or(("…  # label namespace", "…      # label model"), |subject| subject);
        if subject.is_none() {
            page.push_str("\nTake both values from the labels of the alert; in queries, put them in place of `NAMESPACE` and `MODEL`.\n");
        }
        let _ = writeln!(page, "\n```sh\nNAMESPACE={namespace}\nMODEL={model}\n```");
    }
    for (number, step) in diagnosis.iter().enumerate() {
        let (language, command) = command(step, subject);
        let end = if step.ask.ends_with('?') { "" } else { "." };
        let _ = write!(page, "\n{}. {}{end}\n\n   ```{language}\n", number + 1, step.ask);
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

/// Whether the reader needs to know the model.
pub(super) fn names_a_model(alert: &Alert, diagnosis: &[Step]) -> bool {
    matches!(alert.rules, AlertRules::Model(..)) || diagnosis.iter().any(Step::names_the_model)
}

/// The language of a step's command, and the command, about this model where it is given.
pub(super) fn command(step: &Step, subject: Option<(&str, &str)>) -> (&'static str, String) {
    match (&step.with, subject) {
        (Tool::Shell(command), _) => ("sh", command.clone()),
        (Tool::Query(expression), None) => ("promql", expression.clone()),
        (Tool::Query(expression), Some((namespace, model))) => {
            let filled = expression.replace("\"NAMESPACE\"", &format!("{namespace:?}"));
            ("promql", filled.replace("\"MODEL\"", &format!("{model:?}")))
        }
    }
}

/// The list of all pages.
#[must_use]
pub fn index() -> String {
    let mut page = format!("# Runbooks\n\n{}\n\n{INTRODUCTION}\n\n", GENERATED);
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
    page.push_str(&inhibition());
    page
}

/// The smallest profile that has the alert; empty for an alert of the chart.
fn profile(alert: &Alert) -> &'static str {
    match alert.rules {
        AlertRules::Model(from, _) => from.as_str(),
        AlertRules::Operator(_) | AlertRules::Always(_) => "",
    }
}

const INTRODUCTION: &str = "One page for each alert. `critical` needs action now, day or night: users are affected, or a fault that affects them would go unnoticed. \
`warning` waits for the working day. Every alert resolves by itself. `spec.observability.alerts` chooses a profile (each has the alerts of the one before it: `Minimal`, `Standard`, which is the default, and `Full`), and \
changes single alerts by name.";

/// Inhibition rules for an Alertmanager with routes of its own, and the reasons for them.
fn inhibition() -> String {
    format!(
        "\n## One page for each incident\n\n{PRINCIPLE}\n\n```yaml\n{}```\n\n{}\n{CAUSES}\n",
        inhibition::yaml(),
        inhibition::table(TABLE)
    )
}

const PRINCIPLE: &str = "A model that is down also fails its requests and burns its budget. A cause silences what follows from it, and only while \
it is critical: where a model lowers its severity, it silences nothing. What Belfry writes for `spec.observability.alertmanager` has the \
rules about models; for routes of your own, Alertmanager takes all of them as they stand here:";

const CAUSES: &str = "Alerts that may name the cause are not silenced, such as InferenceModelLoadFailed, InferenceModelNotLoaded, InferenceWorkerCrashLooping, \
InferenceWorkerUnschedulable and InferenceImagePullFailing, and InferenceQueueSaturated while requests fail: they are the answer to the page.";
