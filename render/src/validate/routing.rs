//! `spec.observability.alertmanager`, with defaults applied.

use super::keep;
use crate::model::{Channel, Times, ValidReceiver, ValidRouting, ValidWindow};
use crate::problem::Problem;
use belfry_crds::inference_model::{AlertSeverity, Alertmanager, MaintenanceWindow, Once, Receiver};
use jiff::ToSpan;
use jiff::civil::DateTime;
use std::collections::{BTreeMap, BTreeSet};

/// All alerts of one fault start within this time. A page that waited longer would be late.
const GROUP_WAIT: &str = "10s";

const GROUP_INTERVAL: &str = "5m";

const REPEAT_CRITICAL: &str = "4h";

const REPEAT_OTHERS: &str = "12h";

/// A longer window would not be maintenance: it would switch alerts off.
const LONGEST_DAYS: i64 = 7;

const FIELD: &str = "spec.observability.alertmanager";

pub(super) fn routing(
    spec: &Alertmanager,
    monitor_labels: &BTreeMap<String, String>,
) -> Result<ValidRouting, Vec<Problem>> {
    let mut problems = vec![];
    let receivers: Vec<_> =
        spec.receivers.iter().enumerate().filter_map(|(i, one)| keep(receiver(i, one), &mut problems)).collect();
    let windows: Vec<_> =
        spec.maintenance.iter().enumerate().filter_map(|(i, one)| keep(window(i, one), &mut problems)).collect();
    problems.extend(repeated("receivers", receivers.iter().map(|receiver| &receiver.name)));
    problems.extend(repeated("maintenance", windows.iter().map(|window| &window.name)));
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(ValidRouting {
        labels: if spec.labels.is_empty() { monitor_labels } else { &spec.labels }.clone(),
        receivers,
        group_by: spec.group_by.clone(),
        group_wait: spec.group_wait.clone().unwrap_or_else(|| GROUP_WAIT.into()),
        group_interval: spec.group_interval.clone().unwrap_or_else(|| GROUP_INTERVAL.into()),
        windows,
    })
}

/// The API server checks this too: a name that is used twice would make Alertmanager reject its whole configuration.
fn repeated<'a>(list: &str, names: impl Iterator<Item = &'a String>) -> Option<Problem> {
    let mut seen = BTreeSet::new();
    let twice = names.into_iter().find(|name| !seen.insert(*name))?;
    Some(Problem::new(&format!("{FIELD}.{list}"), format!("the name {twice:?} is used twice: rename one")))
}

fn receiver(index: usize, spec: &Receiver) -> Result<ValidReceiver, Vec<Problem>> {
    let mut severities: BTreeSet<_> = spec.severities.iter().copied().collect();
    if severities.is_empty() {
        severities.extend([AlertSeverity::Critical, AlertSeverity::Warning]);
    }
    let repeat = if severities.contains(&AlertSeverity::Critical) { REPEAT_CRITICAL } else { REPEAT_OTHERS };
    let channels = [
        spec.slack.clone().map(Channel::Slack),
        spec.pager_duty.clone().map(Channel::PagerDuty),
        spec.email.clone().map(Channel::Email),
        spec.webhook.clone().map(Channel::Webhook),
        spec.opsgenie.clone().map(Channel::Opsgenie),
    ];
    let mut channels = channels.into_iter().flatten();
    let (Some(channel), None) = (channels.next(), channels.next()) else {
        let message = "set exactly one of slack, pagerDuty, email, webhook and opsgenie: use one receiver for each";
        return Err(vec![Problem::new(&format!("{FIELD}.receivers[{index}]"), message)]);
    };
    Ok(ValidReceiver {
        name: spec.name.clone(),
        severities,
        send_resolved: spec.send_resolved.unwrap_or(true),
        repeat_interval: spec.repeat_interval.clone().unwrap_or_else(|| repeat.into()),
        channel,
    })
}

fn window(index: usize, spec: &MaintenanceWindow) -> Result<ValidWindow, Vec<Problem>> {
    let field = format!("{FIELD}.maintenance[{index}]");
    let times = match (&spec.once, &spec.weekly) {
        (Some(once), None) => self::once(&format!("{field}.once"), once),
        (None, Some(weekly)) if weekly.start < weekly.end => Ok(Times::Weekly(weekly.clone())),
        (None, Some(_)) => Err(Problem::new(&format!("{field}.weekly"), "end is after start: correct it")),
        _ => Err(Problem::new(&field, "set exactly one of once and weekly")),
    };
    let times = times.map_err(|problem| vec![problem])?;
    Ok(ValidWindow { name: spec.name.clone(), suppresses_pages: spec.suppress_pages.unwrap_or(false), times })
}

fn once(field: &str, spec: &Once) -> Result<Times, Problem> {
    let minute = |name: &str, text: &str| {
        let number = text.strip_suffix('Z').and_then(|text| text.parse::<DateTime>().ok());
        number.ok_or_else(|| {
            Problem::new(&format!("{field}.{name}"), format!("{text:?} is not a date and time that exists: correct it"))
        })
    };
    let (from, until) = (minute("from", &spec.from)?, minute("until", &spec.until)?);
    let latest = from.saturating_add(LONGEST_DAYS.days());
    if from < until && until <= latest {
        Ok(Times::Once { from, until })
    } else {
        Err(Problem::new(&format!("{field}.until"), "until is after from, and at most seven days: correct it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(spec: serde_json::Value) -> String {
        let spec = serde_json::from_value(spec).unwrap();
        let problems = routing(&spec, &BTreeMap::new()).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_receiver_without_a_channel_and_one_with_two_are_refused() {
        let secret = json!({"name": "s", "key": "k"});
        let two = json!({"name": "b", "webhook": {"urlSecretRef": secret}, "slack": {"webhookURLSecretRef": secret}});
        let text = problems(json!({"receivers": [{"name": "a"}, two]}));
        assert!(
            text.contains("receivers[0]: set exactly one") && text.contains("receivers[1]: set exactly one"),
            "{text}"
        );
    }

    #[test]
    fn a_window_ends_after_it_begins_and_within_a_week() {
        let window =
            |from: &str, until: &str| json!({"maintenance": [{"name": "w", "once": {"from": from, "until": until}}]});
        let begin = "2026-11-24T02:00:00Z";
        for until in [begin, "2026-11-23T02:00:00Z", "2026-12-01T02:01:00Z"] {
            assert!(problems(window(begin, until)).contains("maintenance[0].once.until"), "{until}");
        }
        assert!(problems(window(begin, "2026-11-31T02:00:00Z")).contains("not a date and time that exists"));
        let spec = serde_json::from_value(window(begin, "2026-12-01T02:00:00Z")).unwrap();
        routing(&spec, &BTreeMap::new()).unwrap();
    }

    #[test]
    fn a_name_is_there_once() {
        let weekly = json!({"name": "w", "weekly": {"days": ["Sunday"], "start": "02:00", "end": "24:00"}});
        assert!(problems(json!({"maintenance": [weekly, weekly]})).contains("\"w\" is used twice"));
    }
}
