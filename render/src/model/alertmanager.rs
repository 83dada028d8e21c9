//! `spec.observability.alertmanager`, with defaults applied.

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::inference_model::{
    AlertSeverity, EmailReceiver, GroupLabel, OpsgenieReceiver, PagerDutyReceiver, SlackReceiver, WebhookReceiver,
    Weekly,
};
use jiff::civil::DateTime;

/// Who is paged, and when not.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidAlertmanager {
    /// Labels of the AlertmanagerConfig.
    pub labels: BTreeMap<String, String>,
    /// Who is told.
    pub receivers: Vec<ValidReceiver>,
    /// Labels by which an incident is told apart, beside namespace, model and severity.
    pub group_by: Vec<GroupLabel>,
    /// How long the first message waits.
    pub group_wait: String,
    /// Least time between two messages about an incident.
    pub group_interval: String,
    /// When nobody is told.
    pub windows: Vec<Window>,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidReceiver {
    /// Name, unique within the model.
    pub name: String,
    /// What is told; never empty.
    pub severities: BTreeSet<AlertSeverity>,
    /// Whether the end is told, too.
    pub send_resolved: bool,
    /// Time after which what goes on is told again.
    pub repeat_interval: String,
    /// By what.
    pub channel: Channel,
}

/// By what somebody is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    /// Slack.
    Slack(SlackReceiver),
    /// PagerDuty.
    PagerDuty(PagerDutyReceiver),
    /// E-mail.
    Email(EmailReceiver),
    /// A program.
    Webhook(WebhookReceiver),
    /// Opsgenie.
    Opsgenie(OpsgenieReceiver),
}

/// When nobody is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Name, unique within the model.
    pub name: String,
    /// Whether critical alerts are held back, too.
    pub suppresses_pages: bool,
    /// Its times.
    pub times: Times,
}

/// The times of a window, in UTC.
#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    /// From a minute to a later one.
    Once {
        /// First minute.
        from: DateTime,
        /// The minute after the last.
        until: DateTime,
    },
    /// Hours of some days of the week.
    Weekly(Weekly),
}
