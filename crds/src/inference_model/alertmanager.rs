//! `spec.observability.alertmanager`: receivers, routes and maintenance windows of a model's alerts.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::alerts::AlertSeverity;
use super::labels::{LABELS_MESSAGE, LABELS_RULE, label_value};
use super::source::SecretKeyRef;

/// Routes, receivers, inhibition and maintenance, in an AlertmanagerConfig of the model. Texts can't hold braces,
/// because Alertmanager reads them as templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alertmanager {
    /// Labels on the AlertmanagerConfig, so that your Alertmanager selects it. Default: those of `monitor.labels`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = label_value()))]
    #[x_kube(validation = kube::core::Rule::new(LABELS_RULE).message(LABELS_MESSAGE))]
    pub labels: BTreeMap<String, String>,
    /// Receivers of the alerts, at most 8. Default: none; the inhibition rules are still written, for routes of your
    /// own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub receivers: Vec<Receiver>,
    /// Labels that split the model's alerts into separate messages, in addition to the severity. Default: none, so that
    /// an incident is one page, however many alerts it sets off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub group_by: Vec<GroupLabel>,
    /// How long the first message waits for more alerts, `1s` to `999h`. Default 10s: within that time one fault sets
    /// off all its alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = DURATION))]
    pub group_wait: Option<String>,
    /// Shortest time between two messages about one incident that changes, `1s` to `999h`. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = DURATION))]
    pub group_interval: Option<String>,
    /// Windows without messages, at most 16. Alerts that still fire when a window ends are sent then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub maintenance: Vec<MaintenanceWindow>,
}

/// A duration as Alertmanager writes it, with one unit.
const DURATION: &str = "^[1-9][0-9]{0,2}[smh]$";

/// Text that can hold neither a template nor another header.
const PLAIN: &str = r"^[^\s{}]+$";

/// An e-mail address, without a name.
const ADDRESS: &str = r"^[^\s{}<>(),;:\x22\\@\x00-\x1f\x7f]+@[A-Za-z0-9.-]+$";

/// Labels that distinguish alerts of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum GroupLabel {
    /// Name of the alert.
    Alertname,
    /// What the alert is about.
    Category,
    /// The part of the system that is at fault.
    Component,
    /// The objective that is in danger.
    Slo,
}

impl GroupLabel {
    /// Name of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A receiver: exactly one of slack, pagerDuty, email, webhook and opsgenie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("[has(self.slack), has(self.pagerDuty), has(self.email), has(self.webhook), has(self.opsgenie)].filter(set, set).size() == 1")
    .message("set exactly one of slack, pagerDuty, email, webhook and opsgenie: use one receiver for each"))]
pub struct Receiver {
    /// Name, unique within the list.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Severities that are sent. Default: critical and warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub severities: Vec<AlertSeverity>,
    /// Whether the end of an incident is sent, too. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_resolved: Option<bool>,
    /// Time after which an incident that continues is sent again, `1s` to `999h`. Default 4h if critical alerts are
    /// sent, else 12h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = DURATION))]
    pub repeat_interval: Option<String>,
    /// A channel of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackReceiver>,
    /// A service of PagerDuty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pager_duty: Option<PagerDutyReceiver>,
    /// E-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailReceiver>,
    /// A program that receives Alertmanager's JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookReceiver>,
    /// A team of Opsgenie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opsgenie: Option<OpsgenieReceiver>,
}

/// A channel of Slack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlackReceiver {
    /// Secret in the model's namespace with the address of the incoming webhook.
    #[serde(rename = "webhookURLSecretRef")]
    pub webhook_url_secret_ref: SecretKeyRef,
    /// Channel, such as `#search-oncall`. Default: that of the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 80), regex(pattern = PLAIN))]
    pub channel: Option<String>,
}

/// A service of PagerDuty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PagerDutyReceiver {
    /// Secret in the model's namespace with the integration key of the Events API v2.
    pub routing_key_secret_ref: SecretKeyRef,
    /// Where the account is. Default US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<ServiceRegion>,
}

/// A team of Opsgenie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpsgenieReceiver {
    /// Secret in the model's namespace with the key of an API integration of the team.
    #[serde(rename = "apiKeySecretRef")]
    pub api_key_secret_ref: SecretKeyRef,
    /// Where the account is. Default US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<ServiceRegion>,
}

/// Where an account is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ServiceRegion {
    /// United States.
    #[default]
    US,
    /// European Union.
    EU,
}

/// A program that receives Alertmanager's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookReceiver {
    /// Secret in the model's namespace with the address, which often holds a token.
    #[serde(rename = "urlSecretRef")]
    pub url_secret_ref: SecretKeyRef,
}

/// E-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.username) == has(self.passwordSecretRef)")
    .message("username and passwordSecretRef belong together: set both, or none"))]
pub struct EmailReceiver {
    /// Addresses, 1 to 10.
    #[schemars(length(min = 1, max = 10), extend("items" = serde_json::json!({"type": "string", "maxLength": 200, "pattern": ADDRESS})))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub to: Vec<String>,
    /// Address of the sender.
    #[schemars(length(max = 200), regex(pattern = ADDRESS))]
    pub from: String,
    /// Mail server, `host:port`. Required: without it, an Alertmanager that has no global mail server would refuse its
    /// whole configuration.
    #[schemars(length(max = 260), regex(pattern = r"^[A-Za-z0-9.-]+:[0-9]{1,5}$"))]
    pub smarthost: String,
    /// Name at the mail server. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = PLAIN))]
    pub username: Option<String>,
    /// Secret in the model's namespace with the password. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
    /// Whether the mail server must offer TLS. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "requireTLS")]
    pub require_tls: Option<bool>,
}

/// A window without messages: exactly one of once and weekly. It is written as a calendar, so that it ends on time even
/// without the operator. All times are UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.once) != has(self.weekly)").message("set exactly one of once and weekly"))]
pub struct MaintenanceWindow {
    /// Name, unique within the list.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// `true` holds back critical alerts, too. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_pages: Option<bool>,
    /// A window that occurs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// A window that occurs every week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<Weekly>,
}

/// From one minute to another, for at most seven days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = kube::core::Rule::new("timestamp(self.from) < timestamp(self.until) && timestamp(self.until) - timestamp(self.from) <= duration('168h')")
    .message("until is after from, and at most seven days: correct it"))]
pub struct Once {
    /// First minute, such as `2026-11-24T02:00:00Z`.
    #[schemars(length(max = 20), regex(pattern = MINUTE))]
    pub from: String,
    /// End, such as `2026-11-24T04:30:00Z`; the window never lasts longer.
    #[schemars(length(max = 20), regex(pattern = MINUTE))]
    pub until: String,
}

/// RFC 3339 in UTC, and a whole minute, which is the resolution of Alertmanager's calendar.
const MINUTE: &str = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:00Z$";

/// Hours of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = kube::core::Rule::new("self.start < self.end")
    .message("end is after start, and 24:00 at most: use a second window for the time after midnight"))]
pub struct Weekly {
    /// Days, at least one.
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub days: Vec<Weekday>,
    /// First minute, `00:00` to `23:59`.
    #[schemars(length(max = 5), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: String,
    /// End, `00:01` to `24:00`.
    #[schemars(length(max = 5), regex(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub end: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, IntoStaticStr)]
#[allow(missing_docs, reason = "the names need no explanation")]
#[strum(serialize_all = "lowercase")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// The name in Alertmanager.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
