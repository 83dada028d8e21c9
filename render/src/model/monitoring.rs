//! Scraping, objectives, alerts and dashboards.

use std::collections::BTreeMap;

use belfry_crds::inference_model::{ScrapeInterval, Tracing};

use super::{ValidAlerts, ValidRouting};

/// Scraping, objectives, alerts and dashboards, with defaults applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValidMonitoring {
    /// Labels for Prometheus' selectors, on the ServiceMonitor and the PrometheusRule.
    pub labels: BTreeMap<String, String>,
    /// Annotations of both.
    pub annotations: BTreeMap<String, String>,
    /// Time between two scrapes, and between two evaluations of the rules.
    pub interval: ScrapeInterval,
    /// Port of Belfry's own worker for the metrics alone.
    pub port: Option<i32>,
    /// Objectives, in the order of the specification.
    pub objectives: Vec<Objective>,
    /// The alerts, and their durations and severities.
    pub alerts: ValidAlerts,
    /// Label `team` of every alert.
    pub team: Option<String>,
    /// Annotation `contact` of every alert.
    pub contact: Option<String>,
    /// Base address of the runbooks, without a slash at the end.
    pub runbook_base_url: String,
    /// Address of Grafana, without a slash at the end.
    pub grafana_url: Option<String>,
    /// Labels of the dashboard's ConfigMap; `None` for no dashboard.
    pub dashboard_labels: Option<BTreeMap<String, String>>,
    /// Annotations of the dashboard's ConfigMap.
    pub dashboard_annotations: BTreeMap<String, String>,
    /// Routing of the alerts, for the model's AlertmanagerConfig; `None` for no such object.
    pub routing: Option<ValidRouting>,
    /// Where the workers send their traces.
    pub tracing: Option<Tracing>,
    /// What the pods may cost in a month, as the specification writes it: "99.90".
    pub monthly_budget: Option<String>,
}

/// A service level objective over 30 days.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Label `slo`.
    pub name: String,
    /// The percentage as the specification writes it: "99.9".
    pub percent: String,
    /// The same as a ratio: 0.999.
    pub ratio: f64,
    /// What the objective measures.
    pub indicator: ValidIndicator,
}

/// What an objective measures.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidIndicator {
    /// Requests not answered with a 5xx.
    Availability,
    /// Requests answered within a bucket bound.
    Latency {
        /// The threshold as the specification writes it: "250ms".
        threshold: String,
        /// The same in seconds.
        seconds: f64,
    },
}
