//! The alerts that silence other alerts, so that one fault is one page. The inhibition rules for Alertmanager, the list of
//! runbooks and docs/paging.md are all made from this table.
//!
//! - A cause silences its consequences, if the cause's own page already implies them.
//! - An alert that may name the cause is not silenced. A pod that hangs while it loads, for example, explains why no replica
//!   serves.
//! - Only a critical alert silences. A model may change severities, and a warning must never hold back a page.
//! - Alerts that can't fire at the same time have no row: `InferenceTargetsAbsent` needs a ready replica, and
//!   `InferenceModelDown` needs that there is none.

use std::fmt::Write as _;

use belfry_crds::inference_model::AlertSeverity;

use super::alert::{Alert, AlertRules};
use super::alerts::{
    autoscaler_blind, connections_saturated, error_budget_burn, high_error_rate, high_latency, latency_budget_burn,
    model_down, model_outage, model_stuck, operator_no_leader, operator_queue_stuck, probe_failing, queue_saturated,
    requests_rejected, targets_absent, worker_down,
};

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct InhibitionRow {
    /// Alerts that silence others while they are critical.
    pub sources: &'static [&'static Alert],
    /// Alerts that are silenced.
    pub targets: Silenced,
    /// Reason why no information is lost.
    pub why: &'static str,
}

/// The alerts that a row silences.
#[derive(Clone, Copy, Debug)]
pub enum Silenced {
    /// These alerts, whatever their severity.
    Alerts(&'static [&'static Alert]),
    /// The source alert itself, and about the same objective if it has one, if it is not critical.
    LessSevere,
}

/// The inhibition table.
pub const TABLE: &[InhibitionRow] = &[
    InhibitionRow {
        sources: &[&model_down::ALERT],
        targets: Silenced::Alerts(&[
            &model_outage::ALERT,
            &probe_failing::ALERT,
            &high_error_rate::ALERT,
            &high_latency::ALERT,
            &error_budget_burn::ALERT,
            &latency_budget_burn::ALERT,
            &worker_down::ALERT,
            &queue_saturated::ALERT,
            &requests_rejected::ALERT,
            &autoscaler_blind::ALERT,
        ]),
        why: "No replica answers, so requests fail, wait or are refused, and pods answer no scrape and no autoscaler.",
    },
    InhibitionRow {
        sources: &[&model_outage::ALERT],
        targets: Silenced::Alerts(&[
            &probe_failing::ALERT,
            &high_error_rate::ALERT,
            &high_latency::ALERT,
            &error_budget_burn::ALERT,
            &latency_budget_burn::ALERT,
        ]),
        why: "Most requests fail, and callers that gave up have waited long, too: both spend the budgets.",
    },
    InhibitionRow {
        sources: &[&probe_failing::ALERT],
        targets: Silenced::Alerts(&[&high_error_rate::ALERT, &error_budget_burn::ALERT]),
        why: "A model that can't answer its own question fails its requests, too.",
    },
    InhibitionRow {
        sources: &[&requests_rejected::ALERT],
        targets: Silenced::Alerts(&[&high_latency::ALERT, &latency_budget_burn::ALERT, &queue_saturated::ALERT]),
        why: "A model that refuses most requests has full queues, and those that it takes wait in them.",
    },
    InhibitionRow {
        sources: &[&targets_absent::ALERT],
        targets: Silenced::Alerts(&[&worker_down::ALERT]),
        why: "No pod answers the scrape, so each of them does not.",
    },
    InhibitionRow {
        sources: &[
            &error_budget_burn::ALERT,
            &latency_budget_burn::ALERT,
            &high_error_rate::ALERT,
            &probe_failing::ALERT,
            &connections_saturated::ALERT,
            &requests_rejected::ALERT,
        ],
        targets: Silenced::LessSevere,
        why: "It says the same about the same subject, and that it is urgent.",
    },
    InhibitionRow {
        sources: &[&operator_no_leader::ALERT],
        targets: Silenced::Alerts(&[&model_stuck::ALERT, &operator_queue_stuck::ALERT]),
        why: "No instance works, so changes wait, and what the operator exports about models is out of date.",
    },
];

/// A label, and the values that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Name of the label.
    pub label: &'static str,
    /// The label must have one of these values; there is at least one.
    pub values: Vec<&'static str>,
}

impl InhibitionRow {
    /// Whether the row is about the alerts of a model, and not about those of the operator.
    #[must_use]
    pub fn is_about_models(&self) -> bool {
        self.sources.iter().all(|alert| matches!(alert.rules, AlertRules::Model(..)))
    }

    /// Labels that an alert must have to silence others.
    #[must_use]
    pub fn source(&self) -> Vec<Match> {
        vec![named(self.sources), Match { label: "severity", values: vec![AlertSeverity::Critical.as_str()] }]
    }

    /// Labels that an alert must have to be silenced.
    #[must_use]
    pub fn target(&self) -> Vec<Match> {
        match self.targets {
            Silenced::Alerts(alerts) => vec![named(alerts)],
            Silenced::LessSevere => {
                let less = vec![AlertSeverity::Warning.as_str(), AlertSeverity::Info.as_str()];
                vec![named(self.sources), Match { label: "severity", values: less }]
            }
        }
    }

    /// Labels that must be equal in both alerts. Two alerts without an objective count as equal.
    #[must_use]
    pub fn equal(&self) -> Vec<&'static str> {
        let model: &[_] = if self.is_about_models() { &["namespace", "model"] } else { &[] };
        let same: &[_] = if matches!(self.targets, Silenced::LessSevere) { &["alertname", "slo"] } else { &[] };
        [model, same].concat()
    }
}

fn named(alerts: &[&Alert]) -> Match {
    Match { label: "alertname", values: alerts.iter().map(|alert| alert.name).collect() }
}

/// Rows as a table for people.
#[must_use]
pub fn table<'a>(rows: impl IntoIterator<Item = &'a InhibitionRow>) -> String {
    let list = |matched: &Match| format!("`{}`", matched.values.join("`, `"));
    let mut text = "| while this is critical | this goes to no receiver | why |\n|---|---|---|\n".to_owned();
    for row in rows {
        let silenced = match row.targets {
            Silenced::Alerts(alerts) => list(&named(alerts)),
            Silenced::LessSevere => {
                "the same alert, and the same objective if it has one, with a lower severity".into()
            }
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "| {} | {silenced} | {} |", list(&named(row.sources)), row.why);
    }
    text
}

/// All rows as rules for the configuration of Alertmanager.
pub(super) fn yaml() -> String {
    let matchers = |all: Vec<Match>| {
        let one = |matched: Match| match matched.values.as_slice() {
            [value] => format!("{} = {value}", matched.label),
            values => format!("{} =~ \"{}\"", matched.label, values.join("|")),
        };
        all.into_iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let mut text = "inhibit_rules:\n".to_owned();
    for row in TABLE {
        let _ = writeln!(text, "- source_matchers: [{}]", matchers(row.source()));
        let _ = writeln!(text, "  target_matchers: [{}]", matchers(row.target()));
        if !row.equal().is_empty() {
            let _ = writeln!(text, "  equal: [{}]", row.equal().join(", "));
        }
    }
    text
}
