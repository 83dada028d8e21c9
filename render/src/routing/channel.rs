//! The channel of a receiver, as Alertmanager configures it. Secrets are named and never read.

use belfry_crds::alertmanager::{
    EmailConfig, KeyValue, OpsgenieConfig, PagerDutyConfig, Receiver, SlackConfig, WebhookConfig,
};
use belfry_crds::inference_model::{SecretKeyRef, ServiceRegion};
use k8s_openapi::api::core::v1::SecretKeySelector;

use super::message;
use crate::model::{Channel, ValidReceiver};

/// A receiver with its one channel.
pub(super) fn receiver(receiver: &ValidReceiver) -> Receiver {
    let send_resolved = receiver.send_resolved;
    let mut built = Receiver { name: receiver.name.clone(), ..Receiver::default() };
    match &receiver.channel {
        Channel::Slack(slack) => built.slack_configs.push(SlackConfig {
            send_resolved,
            api_url: secret(&slack.webhook_url_secret_ref),
            channel: slack.channel.clone(),
            color: message::COLOR.into(),
            title: message::TITLE.into(),
            text: message::BODY.into(),
        }),
        Channel::PagerDuty(service) => built.pagerduty_configs.push(PagerDutyConfig {
            send_resolved,
            routing_key: secret(&service.routing_key_secret_ref),
            url: in_europe(service.region, "https://events.eu.pagerduty.com/v2/enqueue"),
            description: message::TITLE.into(),
            severity: message::SEVERITY.into(),
            component: "{{ .CommonLabels.model }}".into(),
            group: "{{ .CommonLabels.namespace }}".into(),
            details: vec![KeyValue { key: "report".into(), value: message::BODY.into() }],
        }),
        Channel::Email(email) => built.email_configs.push(EmailConfig {
            send_resolved,
            to: email.to.join(", "),
            from: email.from.clone(),
            smarthost: email.smarthost.clone(),
            auth_username: email.username.clone(),
            auth_password: email.password_secret_ref.as_ref().map(secret),
            require_tls: email.require_tls.unwrap_or(true),
            headers: vec![KeyValue { key: "Subject".into(), value: message::TITLE.into() }],
            html: message::HTML.into(),
        }),
        Channel::Webhook(webhook) => {
            built.webhook_configs.push(WebhookConfig { send_resolved, url_secret: secret(&webhook.url_secret_ref) })
        }
        Channel::Opsgenie(team) => built.opsgenie_configs.push(OpsgenieConfig {
            send_resolved,
            api_key: secret(&team.api_key_secret_ref),
            api_url: in_europe(team.region, "https://api.eu.opsgenie.com/"),
            message: message::TITLE.into(),
            description: message::BODY.into(),
            priority: message::PRIORITY.into(),
        }),
    }
    built
}

fn in_europe(region: Option<ServiceRegion>, address: &str) -> Option<String> {
    (region == Some(ServiceRegion::EU)).then(|| address.to_owned())
}

fn secret(reference: &SecretKeyRef) -> SecretKeySelector {
    SecretKeySelector { name: reference.name.clone(), key: reference.key.clone(), optional: None }
}
