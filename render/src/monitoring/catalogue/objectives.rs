//! The model breaks an objective.

use belfry_crds::contract::metrics;
use belfry_crds::inference_model::AlertProfile;

use crate::model::{Objective, Target, ValidModel};
use crate::monitoring::alert::{Alert, Firing, Rules};
use crate::monitoring::cases;
use crate::monitoring::labels::{Category, Component, Severity};
use crate::monitoring::objective::{self, BURNS, Burn, LEAST_ERRORS};
use crate::monitoring::promql::{Scope, by};
use crate::monitoring::runbook::{self, Runbook, cause, query};

/// Failed requests spend the budget too fast.
pub(super) const ERROR_BUDGET_BURN: Alert = Alert {
    name: "InferenceErrorBudgetBurn",
    category: Category::Objective,
    component: Component::Worker,
    impact: "More callers of this model get a 5xx than its objective allows.",
    severities: &[Severity::Critical, Severity::Warning],
    rules: Rules::Model(AlertProfile::Minimal, error_budget_burn),
    runbook: error_budget_burn_runbook,
    cases: cases::objectives::error_budget_burn,
};

/// Slow answers spend the budget too fast.
pub(super) const LATENCY_BUDGET_BURN: Alert = Alert {
    name: "InferenceLatencyBudgetBurn",
    category: Category::Objective,
    component: Component::Worker,
    impact: "More callers of this model wait longer than its objective allows.",
    severities: &[Severity::Critical, Severity::Warning],
    rules: Rules::Model(AlertProfile::Minimal, latency_budget_burn),
    runbook: latency_budget_burn_runbook,
    cases: cases::objectives::latency_budget_burn,
};

fn error_budget_burn(model: &ValidModel) -> Vec<Firing> {
    burns(model, |target| matches!(target, Target::Availability).then(|| "failed".to_owned()))
}

fn latency_budget_burn(model: &ValidModel) -> Vec<Firing> {
    burns(model, |target| match target {
        Target::Availability => None,
        Target::Latency { threshold, .. } => Some(format!("took longer than {threshold}")),
    })
}

/// A rule for each objective of that kind and each pair of windows. `fault` says what a bad request did.
fn burns(model: &ValidModel, fault: impl Fn(&Target) -> Option<String>) -> Vec<Firing> {
    let objectives = model.monitoring.objectives.iter();
    objectives
        .filter_map(|objective| Some((objective, fault(&objective.target)?)))
        .flat_map(|(objective, fault)| BURNS.iter().map(move |pair| burn(model, objective, pair, &fault)))
        .collect()
}

/// No `for`: the long window has already waited, and more would only delay the page.
fn burn(model: &ValidModel, objective: &Objective, pair: &Burn, fault: &str) -> Firing {
    let Burn { long, short, .. } = pair;
    Firing {
        severity: if pair.critical { Severity::Critical } else { Severity::Warning },
        expr: pair.expr(model, objective),
        for_: None,
        keep_firing_for: Some("5m"),
        labels: vec![("slo", objective.name.clone()), ("long", (*long).into()), ("short", (*short).into())],
        summary: format!(
            "{{{{ $labels.namespace }}}}/{{{{ $labels.model }}}}: {{{{ $value | humanizePercentage }}}} of requests {fault} in {long}, \
             objective {} is {}%",
            objective.name, objective.percent
        ),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the requests to {{{{ $labels.namespace }}}}/{{{{ $labels.model }}}} {fault} within the \
             last {long}, and it goes on in the last {short}. Objective {} promises {}% over 30 days; at this rate its budget is \
             spent in {} or less.",
            objective.name,
            objective.percent,
            pair.exhaustion(objective)
        ),
    }
}

fn meaning() -> String {
    format!(
        "The share of bad requests is so high, in a long window and still in a short one (labels `long` and `short`), that the budget of \
         30 days will not last. The description says how long it lasts. At least {LEAST_ERRORS} requests must have been bad, so that one \
         failure of a quiet model is no page. `1h` and `6h` page; `1d` and `3d` are for the working day."
    )
}

fn resolves() -> String {
    "Five minutes after the short window is below the threshold again: within ten minutes for `1h`, within hours for `3d`. The budget that was spent comes back only after 30 days.".into()
}

fn error_budget_burn_runbook() -> Runbook {
    Runbook {
        meaning: meaning(),
        diagnosis: vec![
            query("Which reason, and from which pod?", |scope| {
                by("sum", &["pod", "status", "reason"], objective::failed(scope).rate("5m"))
            }),
            query("Since when?", |scope| {
                format!(
                    "{} / {}",
                    by("sum", &["namespace", "model"], objective::failed(scope).rate("5m")),
                    by("sum", &["namespace", "model"], scope.counter(&metrics::REQUESTS).rate("5m"))
                )
            }),
            runbook::conditions(),
            runbook::logs(),
        ],
        mitigation: vec![
            cause("Most requests fail.", "Go on with [InferenceModelOutage](InferenceModelOutage.md)."),
            cause(
                "One pod carries the failures.",
                "Delete it; if its successor on the same node fails too, cordon the node.",
            ),
            cause("It began with a change of the InferenceModel.", "Apply the previous specification."),
            cause("`deadline_exceeded`.", "The model has more to do than it can: raise `spec.replicas`."),
            cause("The budget is spent.", "Make no risky changes to this model until it has recovered."),
        ],
        resolves: resolves(),
    }
}

fn latency_budget_burn_runbook() -> Runbook {
    let phase = |scope: &Scope, phase: &str| {
        let seconds = scope.sum(&metrics::REQUEST_DURATION).eq("phase", phase).rate("5m");
        let requests = scope.count(&metrics::REQUEST_DURATION).eq("phase", phase).rate("5m");
        format!("{} / {}", by("sum", &["pod"], seconds), by("sum", &["pod"], requests))
    };
    Runbook {
        meaning: meaning(),
        diagnosis: vec![
            query("How long do requests wait in the queue, in seconds?", |scope| phase(scope, "queue")),
            query("How long do they compute?", |scope| phase(scope, "inference")),
            query("How much is queued, of how much?", |scope| {
                format!(
                    "{} / {}",
                    by("sum", &["pod"], scope.gauge(&metrics::QUEUE_DEPTH)),
                    by("sum", &["pod"], scope.gauge(&metrics::QUEUE_CAPACITY))
                )
            }),
            query("How many tokens go through each pod in a second?", |scope| {
                by("sum", &["pod"], scope.counter(&metrics::TOKENS).rate("5m"))
            }),
            runbook::pods(),
        ],
        mitigation: vec![
            cause(
                "The queue is what takes long.",
                "The model has more to do than it can: raise `spec.replicas`, or find the caller whose traffic grew.",
            ),
            cause(
                "Inference is what takes long, on one pod.",
                "Its node is busy or throttled: delete the pod, cordon the node.",
            ),
            cause(
                "Inference is what takes long, everywhere, and tokens per second are as before.",
                "Texts became longer or batches larger: lower `spec.runtime.batching.maxBatchTokens`, or give the workers more CPU.",
            ),
            cause("It began with a change of the InferenceModel.", "Apply the previous specification."),
        ],
        resolves: resolves(),
    }
}
