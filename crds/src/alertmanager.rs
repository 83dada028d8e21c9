//! AlertmanagerConfig of the Prometheus Operator, as far as Belfry writes it. As in [`crate::monitoring`], no CRD is
//! generated from here. `v1alpha1` is the stored version, which needs no conversion webhook.

use k8s_openapi::api::core::v1::SecretKeySelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Routes, receivers, inhibition and times.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1alpha1",
    kind = "AlertmanagerConfig",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerConfigSpec {
    /// The root route; all others are its children.
    pub route: Route,
    /// The receivers of messages.
    pub receivers: Vec<Receiver>,
    /// Which alerts silence which others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhibit_rules: Vec<InhibitRule>,
    /// Calendars that routes name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mute_time_intervals: Vec<MuteTimeInterval>,
}

/// A route: which alerts go to which receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Name of the receiver.
    pub receiver: String,
    /// Conditions on the labels of an alert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matchers: Vec<Matcher>,
    /// Labels that group alerts. Alerts with different values go into separate messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// How long the first message of a group waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<String>,
    /// Shortest time between two messages of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<String>,
    /// Time after which a message is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<String>,
    /// Whether the routes after this one are tried, too.
    #[serde(default, rename = "continue", skip_serializing_if = "std::ops::Not::not")]
    pub continue_: bool,
    /// Calendars during which the route sends no messages. A child does not inherit them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mute_time_intervals: Vec<String>,
    /// Children, tried in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    /// Name of the label.
    pub name: String,
    /// A value, or an anchored regular expression.
    pub value: String,
    /// How label and value are compared. Without it, the Prometheus Operator would use a deprecated syntax.
    pub match_type: MatchType,
}

/// How a label and a value are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchType {
    /// They are equal.
    #[serde(rename = "=")]
    Equal,
    /// The expression matches the label.
    #[serde(rename = "=~")]
    Regex,
}

/// Which alerts silence which others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InhibitRule {
    /// The alert that silences.
    pub source_match: Vec<Matcher>,
    /// The alerts that are silenced.
    pub target_match: Vec<Matcher>,
    /// Labels in which both agree; a label that both lack counts as agreement.
    pub equal: Vec<String>,
}

/// A calendar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MuteTimeInterval {
    /// Name, for routes.
    pub name: String,
    /// Times; one of them is enough.
    pub time_intervals: Vec<TimeInterval>,
}

/// A time interval. Every part must match; an omitted part always matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeInterval {
    /// Hours of the day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TimeRange>,
    /// Days of the week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<String>,
    /// Days of the month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_of_month: Vec<DayRange>,
    /// Months, as numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub months: Vec<String>,
    /// Years.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub years: Vec<String>,
}

/// Hours of the day; the end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeRange {
    /// `00:00` to `23:59`.
    pub start_time: String,
    /// `00:01` to `24:00`.
    pub end_time: String,
}

/// Days of the month; the end is inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRange {
    /// First day.
    pub start: i8,
    /// Last day.
    pub end: i8,
}

/// A receiver with its channels. A receiver without any channel drops its alerts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receiver {
    /// Name, for routes.
    pub name: String,
    /// Channels of Slack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slack_configs: Vec<SlackConfig>,
    /// Services of PagerDuty.
    #[serde(default, rename = "pagerdutyConfigs", skip_serializing_if = "Vec::is_empty")]
    pub pagerduty_configs: Vec<PagerDutyConfig>,
    /// E-mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email_configs: Vec<EmailConfig>,
    /// Programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhook_configs: Vec<WebhookConfig>,
    /// Teams of Opsgenie.
    #[serde(default, rename = "opsgenieConfigs", skip_serializing_if = "Vec::is_empty")]
    pub opsgenie_configs: Vec<OpsgenieConfig>,
}

/// A channel of Slack. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlackConfig {
    /// Whether the end of an incident is sent, too.
    pub send_resolved: bool,
    /// Secret with the address of the webhook.
    #[serde(rename = "apiURL")]
    pub api_url: SecretKeySelector,
    /// Channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Colour of the bar beside the text.
    pub color: String,
    /// Title of the message.
    pub title: String,
    /// Body of the message.
    pub text: String,
}

/// A service of PagerDuty. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PagerDutyConfig {
    /// Whether the end of an incident is sent, too.
    pub send_resolved: bool,
    /// Secret with the integration key.
    pub routing_key: SecretKeySelector,
    /// Address of the Events API; the default is that of the United States.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Title of the incident.
    pub description: String,
    /// `critical`, `error`, `warning` or `info`.
    pub severity: String,
    /// The faulty component.
    pub component: String,
    /// The group of the component.
    pub group: String,
    /// Additional texts.
    pub details: Vec<KeyValue>,
}

/// E-mail. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailConfig {
    /// Whether the end of an incident is sent, too.
    pub send_resolved: bool,
    /// Addresses, with commas between them.
    pub to: String,
    /// Address of the sender.
    pub from: String,
    /// Mail server.
    pub smarthost: String,
    /// Name at the mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_username: Option<String>,
    /// Secret with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_password: Option<SecretKeySelector>,
    /// Whether the mail server must offer TLS.
    #[serde(rename = "requireTLS")]
    pub require_tls: bool,
    /// Headers.
    pub headers: Vec<KeyValue>,
    /// The body in HTML, with escaped values.
    pub html: String,
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookConfig {
    /// Whether the end of an incident is sent, too.
    pub send_resolved: bool,
    /// Secret with the address.
    pub url_secret: SecretKeySelector,
}

/// A team of Opsgenie. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpsgenieConfig {
    /// Whether the end of an incident is sent, too.
    pub send_resolved: bool,
    /// Secret with the key.
    pub api_key: SecretKeySelector,
    /// Address of the API; the default is that of the United States.
    #[serde(default, rename = "apiURL", skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// Title of the incident.
    pub message: String,
    /// Body of the message.
    pub description: String,
    /// `P1` to `P5`.
    pub priority: String,
}

/// A text with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// Name.
    pub key: String,
    /// Text.
    pub value: String,
}
