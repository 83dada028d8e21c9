//! Lines about a case, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::collect::{Case, text};
use super::redact;

/// When something happened that an event is about, as it stands there.
pub(super) fn time(event: &Value) -> String {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().map(|pointer| text(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default()
}

/// An event on one line.
pub(super) fn event(event: &Value) -> String {
    let of = |pointer: &str| text(event, pointer);
    let count = event["count"].as_u64().filter(|count| *count > 1).map(|count| format!(" ({count} times)"));
    format!(
        "{}  {}  {}  {}/{}: {}{}",
        time(event),
        of("/type"),
        of("/reason"),
        of("/involvedObject/kind"),
        of("/involvedObject/name"),
        of("/message").replace('\n', " "),
        count.unwrap_or_default()
    )
}

/// What is not as it is wanted.
pub(super) fn differences(found: &BTreeMap<String, Vec<String>>) -> String {
    if found.is_empty() {
        return "Every object is as it is wanted.\n".to_owned();
    }
    let mut text = String::new();
    for (object, fields) in found {
        let _ = writeln!(text, "{object}");
        fields.iter().for_each(|field| text += &format!("  {field}\n"));
    }
    text
}

/// The conditions of the model: type, status, reason, since when, message.
pub(super) fn conditions(model: &Value) -> Vec<[String; 5]> {
    let conditions = model.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let of = |condition: &Value| {
        ["/type", "/status", "/reason", "/lastTransitionTime", "/message"].map(|pointer| text(condition, pointer))
    };
    conditions.map(of).collect()
}

/// The name of an alert, and what keeps it from being sent, if anything does.
fn alert(alert: &Value) -> String {
    let (name, state) = (text(alert, "/labels/alertname"), text(alert, "/status/state"));
    if state == "suppressed" { format!("{name} (silenced or inhibited)") } else { name }
}

/// What the command line says about an archive, without secrets and without signs that steer a terminal.
pub(super) fn summary(case: &Case, path: &Path) -> String {
    let words = redact::text(&words(case, path));
    words.chars().filter(|letter| *letter == '\n' || !letter.is_control()).collect()
}

fn words(case: &Case, path: &Path) -> String {
    let ready = conditions(&case.model).into_iter().find(|[type_, ..]| type_ == "Ready");
    let ready = ready.map_or_else(
        || "has no status yet".to_owned(),
        |[_, status, reason, _, message]| format!("Ready {status}, {reason}: {}", message.replace('\n', " ")),
    );
    let mut out = format!("{}/{}: {ready}\n", case.namespace, case.name);
    match &case.alerts {
        None => out += "Alerts: no Alertmanager could be asked\n",
        Some(alerts) => {
            let names: Vec<_> = alerts.iter().map(alert).collect();
            let names = if names.is_empty() { "none fires".to_owned() } else { names.join(", ") };
            let _ = writeln!(out, "Alerts: {names}");
        }
    }
    if let Some(differences) = case.differences.as_ref().filter(|found| !found.is_empty()) {
        let objects = differences.keys().cloned().collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "Not as wanted: {objects}");
    }
    for (what, why) in &case.missing {
        let _ = writeln!(out, "Not had: {what} ({why})");
    }
    let _ = writeln!(out, "{} has {} files; begin with index.html", path.display(), case.files.len() + 1);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_with_the_time_that_it_has() {
        let object = json!({"kind": "Pod", "name": "m-1"});
        let one = json!({"lastTimestamp": "2026-01-02T03:04:05Z", "type": "Warning", "reason": "BackOff", "involvedObject": object,
                         "message": "Back-off\nrestarting", "count": 7});
        assert_eq!(event(&one), "2026-01-02T03:04:05Z  Warning  BackOff  Pod/m-1: Back-off restarting (7 times)");
        let other =
            json!({"lastTimestamp": null, "eventTime": "2026-01-02T03:04:06.000000Z", "involvedObject": object});
        assert_eq!(time(&other), "2026-01-02T03:04:06.000000Z");
    }

    #[test]
    fn a_summary_says_what_is_wrong_and_what_could_not_be_had() {
        let condition =
            json!({"type": "Ready", "status": "False", "reason": "LoadFailed", "message": "no\u{1b} such\nfile"});
        let case = Case {
            namespace: "search".into(),
            name: "minilm".into(),
            model: json!({"status": {"conditions": [condition]}}),
            alerts: Some(vec![json!({"labels": {"alertname": "InferenceModelDown"}})]),
            differences: Some([("Service/minilm".to_owned(), vec!["x".to_owned()])].into()),
            missing: vec![("the operator's log".into(), "forbidden".into())],
            ..Case::default()
        };
        let expected = "search/minilm: Ready False, LoadFailed: no such file\nAlerts: InferenceModelDown\nNot as wanted: Service/minilm\n\
                        Not had: the operator's log (forbidden)\nx.tar.gz has 1 files; begin with index.html\n";
        assert_eq!(summary(&case, Path::new("x.tar.gz")), expected);
    }
}
