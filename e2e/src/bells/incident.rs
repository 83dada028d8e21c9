//! What a person heard of one fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pager::Delivery;

/// A message about a model.
#[derive(Clone, Debug)]
pub struct Message {
    /// When it came.
    pub at: Instant,
    /// Severity of its alerts.
    pub severity: String,
    /// Those of its alerts that fire.
    pub firing: BTreeSet<String>,
}

impl Message {
    fn is_urgent(&self) -> bool {
        self.severity == "critical"
    }
}

/// How often a person is woken: each time that something urgent begins to fire while nothing urgent did. What a later message of the same group adds
/// belongs to the incident that is open.
fn pages(messages: &[&Message]) -> usize {
    let urgent = messages.iter().filter(|message| message.is_urgent());
    let is_firing: Vec<_> = std::iter::once(false).chain(urgent.map(|message| !message.firing.is_empty())).collect();
    is_firing.windows(2).filter(|pair| matches!(pair, [false, true])).count()
}

/// The messages about a model, the oldest first.
pub fn messages(deliveries: &[Delivery], model: &str) -> Vec<Message> {
    let of_model = deliveries.iter().filter(|delivery| delivery.body["groupLabels"]["model"] == model);
    of_model.map(|delivery| message(delivery.at, &delivery.body)).collect()
}

fn message(at: Instant, body: &Value) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = body["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let firing = alerts.iter().filter(|alert| alert["status"] == "firing");
    Message {
        at,
        severity: text(&body["groupLabels"]["severity"]),
        firing: firing.map(|alert| text(&alert["labels"]["alertname"])).collect(),
    }
}

/// What should be heard of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Alerts that have to come, urgent ones.
    pub pages: &'static [&'static str],
    /// Alerts that have to come, and may wait.
    pub notes: &'static [&'static str],
    /// Alerts that may come beside them, because they are true, too.
    pub also: &'static [&'static str],
}

/// How a fault and its messages went.
#[derive(Clone, Debug)]
pub struct Incident {
    /// From the fault to the first message with the alert; none where it did not come.
    pub heard: BTreeMap<&'static str, Option<Duration>>,
    /// From the fault to the first page.
    pub first: Option<Duration>,
    /// Alerts that came and are neither expected nor explained.
    pub wrong: BTreeSet<String>,
    /// Alerts that came.
    pub alerts: usize,
    /// How often a person was woken.
    pub pages: usize,
    /// What should have been heard.
    pub expected: Expected,
    /// From the end of the fault until nothing is firing any more; none where that did not come.
    pub quiet: Option<Duration>,
}

impl Incident {
    /// Of the messages about a model since the fault.
    pub fn of(expected: &Expected, messages: &[Message], fault: Instant, mended: Instant) -> Self {
        let since: Vec<_> = messages.iter().filter(|message| message.at >= fault).collect();
        let came: BTreeSet<_> = since.iter().flat_map(|message| message.firing.iter().cloned()).collect();
        let first = |alert: &'static str| {
            let is_it =
                |message: &&&Message| message.firing.contains(alert) && expected.is_of_the_severity(alert, message);
            (alert, since.iter().find(is_it).map(|found| found.at - fault))
        };
        let is_right = |alert: &String| expected.rings().chain(expected.also).any(|right| right == alert);
        let is_page = |message: &&&Message| message.is_urgent() && !message.firing.is_empty();
        Self {
            first: since.iter().find(is_page).map(|found| found.at - fault),
            heard: expected.rings().map(|alert| first(alert)).collect(),
            alerts: came.len(),
            wrong: came.into_iter().filter(|alert| !is_right(alert)).collect(),
            pages: pages(&since),
            expected: *expected,
            quiet: expected.over_since(since.iter().copied()).map(|at| at.saturating_duration_since(mended)),
        }
    }
}

impl Expected {
    /// Alerts that have to come.
    pub fn rings(&self) -> impl Iterator<Item = &'static &'static str> {
        self.pages.iter().chain(self.notes)
    }

    /// How often a person has to be woken.
    pub fn wakes(&self) -> usize {
        usize::from(self.is_urgent())
    }

    fn is_urgent(&self) -> bool {
        !self.pages.is_empty()
    }

    /// Whether a message has the severity that the alert has to have.
    fn is_of_the_severity(&self, alert: &str, message: &Message) -> bool {
        self.pages.contains(&alert) == message.is_urgent()
    }

    /// Whether nothing of this severity or a higher one fires any more. Where a budget was spent, a warning that it will not last goes on for hours, and
    /// has to.
    pub fn is_over(&self, messages: &[Message]) -> bool {
        self.over_since(messages).is_some() || !messages.iter().any(|message| self.is_of_its_severity(message))
    }

    fn is_of_its_severity(&self, message: &Message) -> bool {
        !self.is_urgent() || message.is_urgent()
    }

    fn over_since<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) -> Option<Instant> {
        let own = messages.into_iter().filter(|message| self.is_of_its_severity(message));
        let last: BTreeMap<_, _> = own.map(|message| (&message.severity, message)).collect();
        let is_firing = last.values().any(|message| !message.firing.is_empty());
        last.values().map(|message| message.at).max().filter(|_| !is_firing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EXPECTED: Expected = Expected { pages: &["Down"], notes: &[], also: &["Slow"] };

    fn delivery(at: Instant, severity: &str, alerts: &[(&str, &str)]) -> Delivery {
        let alerts: Vec<_> =
            alerts.iter().map(|(name, status)| json!({"status": status, "labels": {"alertname": name}})).collect();
        Delivery { at, body: json!({"groupLabels": {"model": "m", "severity": severity}, "alerts": alerts}) }
    }

    fn messages_of(at: Instant, severity: &str, alert: &str) -> Vec<Message> {
        messages(&[delivery(at, severity, &[(alert, "firing")])], "m")
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_incident_is_judged_by_what_came_since_the_fault() {
        let begun = Instant::now();
        let deliveries = [
            delivery(begun, "critical", &[("Other", "firing")]),
            delivery(begun + seconds(4), "critical", &[("Down", "firing")]),
            delivery(begun + seconds(5), "warning", &[("Slow", "firing"), ("Odd", "firing")]),
            delivery(begun + seconds(9), "critical", &[("Down", "resolved")]),
            delivery(begun + seconds(11), "warning", &[("Slow", "resolved"), ("Odd", "resolved")]),
        ];
        let messages = messages(&deliveries, "m");
        let incident = Incident::of(&EXPECTED, &messages, begun + seconds(1), begun + seconds(8));
        assert_eq!((incident.heard["Down"], incident.first), (Some(seconds(3)), Some(seconds(3))));
        assert_eq!(incident.wrong, BTreeSet::from(["Odd".to_owned()]));
        assert_eq!((incident.alerts, incident.pages), (3, 1));
        assert_eq!(incident.quiet, Some(seconds(1)));
    }

    #[test]
    fn what_did_not_come_is_not_heard_and_what_rings_still_is_not_quiet() {
        let now = Instant::now();
        let messages = messages(&[delivery(now, "critical", &[("Slow", "firing")])], "m");
        let incident = Incident::of(&EXPECTED, &messages, now, now);
        assert_eq!(incident.heard["Down"], None);
        let warned = messages_of(now, "warning", "Down");
        assert_eq!(Incident::of(&EXPECTED, &warned, now, now).heard["Down"], None, "it is not urgent");
        assert_eq!((incident.quiet, incident.pages), (None, 1));
        assert!(!EXPECTED.is_over(&messages) && EXPECTED.is_over(&[]));
    }

    #[test]
    fn a_warning_that_goes_on_keeps_no_page_open() {
        let now = Instant::now();
        let messages = messages(&[delivery(now, "warning", &[("Slow", "firing")])], "m");
        assert!(EXPECTED.is_over(&messages));
        assert!(!Expected { pages: &[], ..EXPECTED }.is_over(&messages));
    }

    #[test]
    fn an_incident_that_is_open_wakes_no_one_twice() {
        let begun = Instant::now();
        let states = ["firing", "firing", "resolved", "firing"];
        let at = |number: usize| begun + seconds(u64::try_from(number).unwrap());
        let deliveries: Vec<_> = states
            .iter()
            .enumerate()
            .map(|(number, state)| delivery(at(number), "critical", &[("Down", *state)]))
            .collect();
        let incident = Incident::of(&EXPECTED, &messages(&deliveries, "m"), begun, begun);
        assert_eq!(incident.pages, 2);
    }

    #[test]
    fn another_models_messages_are_not_ours() {
        let delivery = delivery(Instant::now(), "critical", &[("Down", "firing")]);
        assert!(messages(&[delivery], "other").is_empty());
    }
}
