//! AlertmanagerConfig of the Prometheus Operator, as far as Belfry writes it. As with [`crate::monitoring`], the kind is
//! somebody else's. `v1alpha1` is the version that is stored, and needs no conversion webhook.

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
    /// The route of which all others are children.
    pub route: Route,
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// Which alerts silence which others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhibit_rules: Vec<InhibitRule>,
    /// Calendars that routes name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mute_time_intervals: Vec<MuteTimeInterval>,
}

/// Which alerts go to whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Name of the receiver.
    pub receiver: String,
    /// What an alert has to look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matchers: Vec<Matcher>,
    /// Labels by which alerts are told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// How long the first message waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<String>,
    /// Least time between two messages of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<String>,
    /// Time after which a message comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<String>,
    /// Whether the routes after this one are tried, too.
    #[serde(default, rename = "continue", skip_serializing_if = "std::ops::Not::not")]
    pub continue_: bool,
    /// Calendars in which nobody is told. A child does not inherit them.
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
    /// How the two are compared. Without it, the Prometheus Operator would take a syntax that is deprecated.
    pub match_type: MatchType,
}

/// How a label and a value are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchType {
    /// They are equal.
    #[serde(rename = "=")]
    Equal,
    /// The expression fits the label.
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

/// Times of which every part has to fit; a part that is left out always does.
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

/// Hours of the day, without the minute at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeRange {
    /// `00:00` to `23:59`.
    pub start_time: String,
    /// `00:01` to `24:00`.
    pub end_time: String,
}

/// Days of the month, with the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRange {
    /// First day.
    pub start: i8,
    /// Last day.
    pub end: i8,
}

/// Who is told, by what. None of the lists: nobody.
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
    /// Whether the end is told.
    pub send_resolved: bool,
    /// Where the address of the webhook stands.
    #[serde(rename = "apiURL")]
    pub api_url: SecretKeySelector,
    /// Channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Colour of the bar beside the text.
    pub color: String,
    /// First line.
    pub title: String,
    /// The rest.
    pub text: String,
}

/// A service of PagerDuty. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PagerDutyConfig {
    /// Whether the end is told.
    pub send_resolved: bool,
    /// Where the integration key stands.
    pub routing_key: SecretKeySelector,
    /// Address of the Events API; the default is that of the United States.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the incident.
    pub description: String,
    /// `critical`, `error`, `warning` or `info`.
    pub severity: String,
    /// What is at fault.
    pub component: String,
    /// To what it belongs.
    pub group: String,
    /// Texts beside it.
    pub details: Vec<KeyValue>,
}

/// E-mail. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailConfig {
    /// Whether the end is told.
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
    /// Where the password stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_password: Option<SecretKeySelector>,
    /// Whether the mail server has to offer TLS.
    #[serde(rename = "requireTLS")]
    pub require_tls: bool,
    /// Headers.
    pub headers: Vec<KeyValue>,
    /// The text, in which values are escaped.
    pub html: String,
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookConfig {
    /// Whether the end is told.
    pub send_resolved: bool,
    /// Where the address stands.
    pub url_secret: SecretKeySelector,
}

/// A team of Opsgenie. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpsgenieConfig {
    /// Whether the end is told.
    pub send_resolved: bool,
    /// Where the key stands.
    pub api_key: SecretKeySelector,
    /// Address of the API; the default is that of the United States.
    #[serde(default, rename = "apiURL", skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// Name of the incident.
    pub message: String,
    /// The rest.
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
