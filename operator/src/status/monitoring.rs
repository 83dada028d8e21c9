//! The conditions about monitoring: written, selected, evaluated, scraped.

use belfry_crds::condition::ConditionStatus::{False, True, Unknown};
use belfry_crds::condition::{ConditionType, Reason};
use belfry_render::model::ValidModel;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Facts;
use super::conditions::{Verdict, refused_verdict, said_before, verdict};
use crate::apply::{Refusal, RefusalCause};
use crate::evaluation::{Evaluated, Report, Rules, Targets};
use crate::observe::Selection;

/// MonitoringReady, and the conditions that it summarizes.
pub(super) fn conditions(
    model: &ValidModel,
    facts: &Facts<'_>,
    refused: &[Refusal],
    previous: &[Condition],
) -> (Verdict, Vec<(ConditionType, Verdict)>) {
    let is_missing = |refusal: &Refusal| refusal.role.is_monitoring() && refusal.cause == RefusalCause::KindMissing;
    let mut watched = vec![];
    // Where the cluster does not know the kinds, nothing was written.
    if !refused.iter().any(is_missing) {
        watched.push((ConditionType::MonitorSelected, monitor_selected(&facts.selection)));
        watched.extend(evaluated(&facts.evaluated, previous));
    }
    (monitoring_ready(model, refused, &watched), watched)
}

/// Whether anything reads what was written.
fn monitor_selected(selection: &Selection) -> Verdict {
    match selection {
        Selection::By(name) => verdict(True, Reason::Selected, format!("Prometheus {name} selects them")),
        Selection::Missing(message) => verdict(False, Reason::NotSelected, message),
        Selection::Unknown => verdict(
            Unknown,
            Reason::PrometheusUnknown,
            "the operator sees no Prometheus object: another program may read the ServiceMonitor and the PrometheusRule",
        ),
    }
}

/// What a Prometheus says. Until it has said something, what was said before stays, so that an operator that starts writes
/// nothing.
fn evaluated(evaluated: &Evaluated, previous: &[Condition]) -> Vec<(ConditionType, Verdict)> {
    let types = [ConditionType::RulesEvaluating, ConditionType::TargetsUp];
    let each = |verdict: &dyn Fn(ConditionType) -> Verdict| types.map(|type_| (type_, verdict(type_))).to_vec();
    match evaluated {
        Evaluated::NotAsked => vec![],
        Evaluated::Awaited => each(&|type_| {
            let not_yet = || verdict(Unknown, Reason::Pending, "Prometheus has not read what was written yet");
            said_before(previous, type_).unwrap_or_else(not_yet)
        }),
        Evaluated::Unreadable(words) => each(&|_| verdict(Unknown, Reason::PrometheusUnreadable, words)),
        Evaluated::Said(Report { rules, targets }) => {
            vec![(types[0], rules_evaluating(rules)), (types[1], targets_up(targets))]
        }
    }
}

fn rules_evaluating(rules: &Rules) -> Verdict {
    match rules {
        Rules::Evaluated(count) => verdict(True, Reason::RulesEvaluated, format!("{count} rules are evaluated")),
        Rules::Waiting => {
            verdict(Unknown, Reason::Pending, "Prometheus has loaded the rules, and has not evaluated all of them yet")
        }
        Rules::Missing(groups) => {
            let message = format!(
                "Prometheus has not loaded {} as last written: see whether it selects the PrometheusRule, and the log of the Prometheus \
                 Operator",
                groups.join(", ")
            );
            verdict(False, Reason::RulesNotLoaded, message)
        }
        Rules::Failing { rule, error } => {
            verdict(False, Reason::RuleFailing, format!("the evaluation of {rule} fails: {error}"))
        }
    }
}

fn targets_up(targets: &Targets) -> Verdict {
    match targets {
        Targets::Up(count) => verdict(True, Reason::TargetsScraped, format!("{count} of {count} workers are scraped")),
        Targets::Down { down, all } => verdict(
            False,
            Reason::TargetsDown,
            format!("{down} of {all} workers do not answer when they are scraped: see the alert InferenceWorkerDown"),
        ),
        Targets::Missing => verdict(
            False,
            Reason::TargetsMissing,
            "workers run, and Prometheus scrapes none of them: see whether it selects the ServiceMonitor, and reaches their port",
        ),
        Targets::NoPods => verdict(Unknown, Reason::NoReplicaReady, "no worker runs that could be scraped"),
    }
}

fn monitoring_ready(model: &ValidModel, refused: &[Refusal], watched: &[(ConditionType, Verdict)]) -> Verdict {
    let mut monitoring = refused.iter().filter(|refusal| refusal.role.is_monitoring());
    let Some(first) = monitoring.next() else {
        // Workers that do not answer are the model's fault.
        let is_fault = |verdict: &&Verdict| verdict.status == False && verdict.reason != Reason::TargetsDown;
        if let Some(fault) = watched.iter().map(|(_, verdict)| verdict).find(is_fault) {
            return fault.clone();
        }
        let dashboard = if model.monitoring.dashboard_labels.is_some() { ", dashboard" } else { "" };
        let routing = if model.monitoring.routing.is_some() { ", AlertmanagerConfig" } else { "" };
        let message = format!("ServiceMonitor, PrometheusRule{dashboard}{routing} are in the cluster");
        return verdict(True, Reason::ObjectsApplied, message);
    };
    let mut first = refused_verdict(first);
    for other in monitoring {
        first.message = format!("{}; {}", first.message, refused_verdict(other).message);
    }
    first
}
