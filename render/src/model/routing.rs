//! `spec.observability.alertmanager`, with defaults applied.

use std::collections::{BTreeMap, BTreeSet};

use belfry_crds::inference_model::{
    AlertSeverity, EmailReceiver, GroupLabel, OpsgenieReceiver, PagerDutyReceiver, SlackReceiver, WebhookReceiver,
    Weekly,
};
use jiff::civil::DateTime;

/// Receivers of the model's alerts, and the windows that mute them.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidRouting {
    /// Labels of the AlertmanagerConfig.
    pub labels: BTreeMap<String, String>,
    /// Receivers of the alerts.
    pub receivers: Vec<ValidReceiver>,
    /// Labels that group alerts into one incident, beside namespace, model and severity.
    pub group_by: Vec<GroupLabel>,
    /// Delay of the first message about an incident.
    pub group_wait: String,
    /// Minimum time between two messages about an incident.
    pub group_interval: String,
    /// Windows that mute the receivers.
    pub windows: Vec<ValidWindow>,
}

/// A receiver of alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidReceiver {
    /// Name, unique within the model.
    pub name: String,
    /// Severities that the receiver gets; never empty.
    pub severities: BTreeSet<AlertSeverity>,
    /// Whether the receiver also gets a message when the incident ends.
    pub send_resolved: bool,
    /// Time after which the message about a lasting incident is repeated.
    pub repeat_interval: String,
    /// Channel of the messages.
    pub channel: Channel,
}

/// The channel of a receiver.
#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    /// Slack.
    Slack(SlackReceiver),
    /// PagerDuty.
    PagerDuty(PagerDutyReceiver),
    /// E-mail.
    Email(EmailReceiver),
    /// A program that takes HTTP requests.
    Webhook(WebhookReceiver),
    /// Opsgenie.
    Opsgenie(OpsgenieReceiver),
}

/// A window that mutes receivers.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidWindow {
    /// Name, unique within the model.
    pub name: String,
    /// Whether the window also mutes critical alerts.
    pub suppresses_pages: bool,
    /// Times of the window.
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
