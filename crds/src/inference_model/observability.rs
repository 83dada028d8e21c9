//! `spec.observability`: scraping, objectives, alerts and dashboards.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::alertmanager::Alertmanager;
use super::alerts::Alerts;
use super::labels::{LABELS_MESSAGE, LABELS_RULE, POD_KEYS_MESSAGE, POD_KEYS_RULE, annotation_value, label_value};
use crate::contract::{OTLP_GRPC, OTLP_HTTP};

/// Scraping, objectives, alerts and dashboards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// How Prometheus finds and scrapes the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    /// Objectives, measured over 30 days: at most one of each indicator. Default: none, and so no burn-rate alerts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = kube::core::Rule::new("self.all(a, self.exists_one(b, b.indicator == a.indicator))")
        .message("at most one objective of each indicator: remove one"))]
    pub slos: Vec<Slo>,
    /// Which alerts the model has, and how they fire. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Alerts>,
    /// The owner's team and contact, and the runbooks. They are written on every alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The model's Grafana dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<Dashboard>,
    /// Receivers and routes, in an AlertmanagerConfig of the model. Default: none; the routes of your Alertmanager
    /// decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Alertmanager>,
    /// Where the workers send a trace of each request. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    /// What the model may cost. Default: no alert about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What the model may cost. The operator needs prices for it: `cost.prices` of its chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// What the model's pods may cost in a month of 730 hours, in the currency of the operator's prices, as a string: "250" or
    /// "99.90". InferenceCostBudgetBurn rings when they cost a fifth more at the rate of six hours.
    #[schemars(length(max = 12), regex(pattern = r"^(0\.(0[1-9]|[1-9][0-9]?)|[1-9][0-9]{0,8}(\.[0-9]{1,2})?)$"))]
    pub monthly_budget: String,
}

/// Where the workers send a trace of each request. For Belfry's own worker, vLLM and TEI; another engine takes its
/// own flags in `engine.args`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// Address of an OpenTelemetry collector, such as `http://otel-collector.observability:4317`; for HttpProtobuf with its
    /// path, such as `http://otel-collector.observability:4318/v1/traces`.
    #[schemars(length(max = 500), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$"))]
    pub endpoint: String,
    /// How spans are sent. Default Grpc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<TracingProtocol>,
    /// Share of the requests that are traced where the caller has not decided, as a string: "0" to "1". Default "1". TEI
    /// traces all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"))]
    pub sampling_ratio: Option<String>,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TracingProtocol {
    /// OTLP by gRPC, usually at port 4317.
    #[default]
    Grpc,
    /// OTLP by HTTP, as protobuf, usually at port 4318.
    HttpProtobuf,
}

impl TracingProtocol {
    /// Its name in OpenTelemetry's variables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => OTLP_GRPC,
            Self::HttpProtobuf => OTLP_HTTP,
        }
    }
}

/// How Prometheus finds and scrapes the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitor {
    /// Labels on the ServiceMonitor and the PrometheusRule, so that your Prometheus selects them, such as
    /// `release: kube-prometheus-stack`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(LABELS_RULE).message(LABELS_MESSAGE))]
    pub labels: BTreeMap<String, String>,
    /// Annotations on the ServiceMonitor and the PrometheusRule, at most 8 of 1000 characters. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = annotation_value()))]
    #[x_kube(validation = kube::core::Rule::new(POD_KEYS_RULE).message(POD_KEYS_MESSAGE))]
    pub annotations: BTreeMap<String, String>,
    /// Time between two scrapes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScrapeInterval>,
    /// Port of the pods for the metrics alone, 1024 to 65535 and not 8080: callers of the model then can't read them. It
    /// restarts the pods. Only for Belfry's own worker; other engines have engine.ports.metrics. Default: the port of
    /// requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65_535))]
    pub port: Option<i32>,
}

/// Time between two scrapes, and between two evaluations of the rules. Default 15s. The rules look back over one
/// minute, so a longer interval would leave them without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ScrapeInterval {
    /// Five seconds.
    #[serde(rename = "5s")]
    FiveSeconds,
    /// Ten seconds.
    #[serde(rename = "10s")]
    TenSeconds,
    /// Fifteen seconds.
    #[default]
    #[serde(rename = "15s")]
    FifteenSeconds,
}

impl ScrapeInterval {
    /// The duration as Prometheus writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveSeconds => "5s",
            Self::TenSeconds => "10s",
            Self::FifteenSeconds => "15s",
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Indicator {
    /// Share of requests that were not answered with a 5xx.
    Availability,
    /// Share of answered requests that took no longer than the threshold.
    Latency,
}

/// A service level objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("(self.indicator == 'Latency') == has(self.threshold)")
    .message("threshold belongs to indicator Latency, and only there: add it, or remove it"))]
pub struct Slo {
    /// Name of the objective: the label `slo` of its series and alerts.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What is measured.
    pub indicator: Indicator,
    /// Per cent of good requests, as a string: "50" to "99.999".
    #[schemars(length(max = 7), regex(pattern = r"^[0-9]{2}(\.[0-9]{1,3})?$"))]
    #[x_kube(validation = kube::core::Rule::new("double(self) >= 50.0 && double(self) <= 99.999").message("objective must be between \"50\" and \"99.999\" per cent"))]
    pub objective: String,
    /// Time that a good request may take. One of the worker's bucket bounds: 1ms, 5ms, 10ms, 25ms, 50ms, 100ms, 250ms,
    /// 500ms, 1s, 2500ms, 5s, 10s, 30s; between two bounds requests can't be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self in ['1ms', '5ms', '10ms', '25ms', '50ms', '100ms', '250ms', '500ms', '1s', '2500ms', '5s', '10s', '30s']")
        .message("threshold is not a bucket bound of the worker: use 1ms, 5ms, 10ms, 25ms, 50ms, 100ms, 250ms, 500ms, 1s, 2500ms, 5s, 10s or 30s"))]
    #[schemars(length(max = 10))]
    pub threshold: Option<String>,
}

/// The owner's team and contact, and the runbooks. Braces are refused, because Alertmanager reads alerts as templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Label `team` on every alert, for routing. Default: no label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub team: Option<String>,
    /// Where to ask: a channel or an address. Annotation `contact` on every alert. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[^{}\n\r]+$"))]
    pub contact: Option<String>,
    /// Base address of the pages of docs/runbooks; `/<alert's name>.md` is appended. Default: the project's pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "runbookBaseURL")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^https?://[^\s{}]+$"))]
    pub runbook_base_url: Option<String>,
}

/// The model's Grafana dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// `false` removes it. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Labels on the ConfigMap, for Grafana's sidecar. Default: `grafana_dashboard: "1"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(LABELS_RULE).message(LABELS_MESSAGE))]
    pub labels: BTreeMap<String, String>,
    /// Annotations on the ConfigMap, at most 8 of 1000 characters, such as the one by which Grafana's sidecar chooses the
    /// folder: `grafana_folder`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = annotation_value()))]
    #[x_kube(validation = kube::core::Rule::new(POD_KEYS_RULE).message(POD_KEYS_MESSAGE))]
    pub annotations: BTreeMap<String, String>,
}
