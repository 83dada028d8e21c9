//! `contract + ValidModel → rules, dashboard, runbooks, rule tests`.
//!
//! Pure: no client, no clock, no environment. A rule or a panel names a metric only through the
//! typed constants of the contract, so an expression on an unknown metric does not compile
//! ([`promql`]). One list, [`alerts()`], is the source of the rules, of the runbooks and of the rule
//! tests, so an alert without a runbook or without a test does not compile either.

use belfry_crds::monitoring::PrometheusRuleSpec;

use crate::model::ValidModel;

pub mod alert;
mod alerts;
mod burn_rate;
pub mod case;
mod dashboard;
mod dashboard_name;
mod engine_records;
mod example;
mod failing;
mod gpu;
pub mod inhibition;
pub mod labels;
mod names;
mod objective;
mod operator;
mod overload;
pub mod promql;
mod quality;
mod record;
pub mod reference;
mod rules;
pub mod rule_test;
pub mod runbook;
pub mod runbook_html;
pub mod runbook_pages;
mod series;

pub use alert::Alert;
pub use alerts::alerts;

/// Label `job` of the operator's own target.
pub const OPERATOR_JOB: &str = "belfry-operator";

/// Recording and alerting rules of one model.
#[must_use]
pub fn rules(model: &ValidModel) -> PrometheusRuleSpec {
    rules::of_model(model)
}

/// Rules about the operator itself; they are installed once, by the chart.
#[must_use]
pub fn operator_rules() -> PrometheusRuleSpec {
    rules::of_operator()
}

/// The rule of the alert that always fires; the chart installs it where it is asked for.
#[must_use]
pub fn watchdog_rules() -> PrometheusRuleSpec {
    rules::of_watchdog()
}

/// Names of other servers for the series of all models; the chart installs the sets that are asked for.
pub use names::{Names, names, page as names_page};

/// The model's Grafana dashboard, as the classic JSON that Grafana 10 to 13 provisions from files.
#[must_use]
pub fn dashboard(model: &ValidModel) -> serde_json::Value {
    dashboard::of_model(model)
}

/// The dashboard of the operator and of all its models; the chart installs it once.
#[must_use]
pub fn operator_dashboard() -> serde_json::Value {
    dashboard::of_operator()
}

/// Dashboards about many models at once, each with the name of its file; the chart installs them once.
#[must_use]
pub fn boards() -> Vec<(&'static str, serde_json::Value)> {
    dashboard::boards()
}

/// Key of the dashboard in its ConfigMap. Sidecars write every key into one folder, so the key is
/// unique in the cluster.
#[must_use]
pub fn dashboard_file_name(model: &ValidModel) -> String {
    dashboard_name::file(model)
}
