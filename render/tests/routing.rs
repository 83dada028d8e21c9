//! The real Alertmanager on the routes of a model: it accepts them, and sends each receiver the right messages, each once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on must stop")]

mod support;

#[path = "routing/alertmanager.rs"]
mod alertmanager;
#[path = "routing/convert.rs"]
mod convert;
#[path = "routing/inhibition.rs"]
mod inhibition;
#[path = "support/tool.rs"]
mod tool;

use alertmanager::{Alertmanager, Sink};
use belfry_crds::InferenceModel;
use belfry_render::children::alertmanager_config::alertmanager_config;
use belfry_render::monitoring;
use belfry_render::settings::Settings;
use belfry_render::validate::validate;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use support::{sample, valid};

/// A sample with other waits, and what else the test needs.
fn paging(change: impl FnOnce(&mut Value)) -> InferenceModel {
    let mut model = serde_json::to_value(sample("paging")).unwrap();
    let alertmanager = &mut model["spec"]["observability"]["alertmanager"];
    (alertmanager["groupWait"], alertmanager["groupInterval"]) = (json!("2s"), json!("1s"));
    alertmanager["groupBy"] = json!([]);
    alertmanager["maintenance"] = json!([]);
    change(alertmanager);
    serde_json::from_value(model).unwrap()
}

fn start(name: &str, model: &InferenceModel, sink: &Sink) -> Alertmanager {
    let object = alertmanager_config(&valid(model)).unwrap();
    Alertmanager::start(name, &convert::configuration(&object, &sink.address))
}

/// An alert of the model as its rules would send it, with the templates left as they are.
fn alert(model: &InferenceModel, name: &str, severity: &str) -> Value {
    let settings = Settings { grafana_url: Some("https://grafana.example.com".into()), ..Settings::default() };
    let rules =
        monitoring::rules(&validate(model, &settings).unwrap()).groups.into_iter().flat_map(|group| group.rules);
    let mut named = rules.filter(|rule| rule.alert.as_deref() == Some(name) && rule.labels["severity"] == severity);
    let rule = named.next().unwrap_or_else(|| panic!("no rule {name} {severity}"));
    let mut labels = rule.labels;
    labels.insert("alertname".into(), name.into());
    // An alert that is already old would not wait for its group, and so not for the alert that silences it.
    json!({"labels": labels, "annotations": rule.annotations, "startsAt": Timestamp::now().to_string()})
}

fn start_of(alert: &Value) -> Timestamp {
    alert["startsAt"].as_str().unwrap().parse().unwrap()
}

/// The same alert, which is over after three seconds.
fn resolved(alert: &Value) -> Value {
    let mut alert = alert.clone();
    alert["endsAt"] = json!((start_of(&alert) + 3.seconds()).to_string());
    alert
}

fn names(message: &Value) -> Vec<&str> {
    let alerts = message["alerts"].as_array().into_iter().flatten();
    alerts.map(|alert| alert["labels"]["alertname"].as_str().unwrap()).collect()
}

#[test]
fn each_receiver_learns_once_what_happened_where_to_look_and_how_long_it_lasted() {
    let (model, sink) = (paging(|_| ()), Sink::start());
    let alertmanager = start("receivers", &model, &sink);
    let down = alert(&model, "InferenceModelDown", "critical");
    let burn = alert(&model, "InferenceErrorBudgetBurn", "critical");
    alertmanager.alert(&[down.clone(), burn.clone()]);
    alertmanager.until_alerts(&[("InferenceErrorBudgetBurn", true), ("InferenceModelDown", false)]);

    let title = "[CRITICAL] InferenceModelDown search/paging (team search)";
    let slack = &sink.until("/slack", |_| true)[0];
    assert_eq!((&slack["channel"], &slack["attachments"][0]["title"]), (&json!("#search-alerts"), &json!(title)));
    assert_eq!(slack["attachments"][0]["color"], "danger");
    let text = slack["attachments"][0]["text"].as_str().unwrap();
    let silence = "http://alertmanager.example.com/#/silences/new?filter=%7Bnamespace%3D%22search%22%2Cmodel%3D%22paging%22%2Calertname%3D%22InferenceModelDown%22%7D";
    for part in [
        &format!("Since {} UTC.", start_of(&down).strftime("%F %T")),
        "Impact: Callers get no answer at all.",
        "/InferenceModelDown.md?namespace=search&model=paging\n",
        "Dashboard: https://grafana.example.com/d/belfry-",
        "Ask: #search-oncall\n",
        &format!("Silence: {silence}\n"),
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let page = &sink.until("/pagerduty", |_| true)[0];
    assert_eq!((&page["payload"]["summary"], &page["payload"]["severity"]), (&json!(title), &json!("critical")));
    assert_eq!(page["payload"]["custom_details"]["report"], *text);
    let opsgenie = &sink.until("/opsgenie/v2/alerts", |_| true)[0];
    assert_eq!((&opsgenie["message"], &opsgenie["priority"]), (&json!(title), &json!("P1")));
    let tickets = sink.until("/tickets", |_| true);
    assert_eq!(names(&tickets[0]), ["InferenceModelDown"], "a consequence is silenced");

    alertmanager.alert(&[resolved(&burn), resolved(&down)]);
    let resolved = sink.until("/slack", |message| message["attachments"][0]["color"] == "good");
    let text = resolved.last().unwrap()["attachments"][0]["text"].as_str().unwrap();
    assert!(text.contains("Resolved; it lasted 3s."), "{text}");
    sink.until("/pagerduty", |page| page["event_action"] == "resolve");
    assert_eq!(sink.to("/pagerduty").iter().filter(|page| page["event_action"] == "trigger").count(), 1);
}

#[test]
fn a_warning_goes_to_those_who_asked_for_warnings_and_not_while_its_own_critical_alert_rings() {
    let (model, sink) = (paging(|_| ()), Sink::start());
    let alertmanager = start("warning", &model, &sink);
    alertmanager.alert(&[alert(&model, "InferenceErrorBudgetBurn", "warning")]);
    let tickets = sink.until("/tickets", |_| true);
    assert_eq!(tickets[0]["commonLabels"]["severity"], "warning");
    alertmanager.alert(&[alert(&model, "InferenceErrorBudgetBurn", "critical")]);
    // The first page is the critical alert: the warning before it was not sent to this receiver.
    assert_eq!(sink.until("/pagerduty", |_| true)[0]["payload"]["severity"], "critical");
    alertmanager.until_alerts(&[("InferenceErrorBudgetBurn", false), ("InferenceErrorBudgetBurn", true)]);
}

#[test]
fn alerts_of_another_model_and_of_another_namespace_go_past() {
    let (model, sink) = (paging(|_| ()), Sink::start());
    let alertmanager = start("others", &model, &sink);
    let mut others = vec![];
    for (label, value) in [("model", "reranker"), ("namespace", "elsewhere")] {
        let mut other = alert(&model, "InferenceModelOutage", "critical");
        other["labels"][label] = json!(value);
        others.push(other);
    }
    // One model that is down says nothing about those.
    others.push(alert(&model, "InferenceModelDown", "critical"));
    alertmanager.alert(&others);
    let tickets = sink.until("/tickets", |_| true);
    let outage = "InferenceModelOutage";
    alertmanager.until_alerts(&[("InferenceModelDown", false), (outage, false), (outage, false)]);
    assert!(tickets.iter().all(|message| names(message) == ["InferenceModelDown"]), "{tickets:?}");
}

#[test]
fn a_window_holds_back_what_is_not_critical_and_pages_only_if_it_suppresses_them() {
    let every_day = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    for suppresses_pages in [false, true] {
        let now = json!({"days": every_day, "start": "00:00", "end": "24:00"});
        let past = json!({"from": "2024-02-28T22:00:00Z", "until": "2024-03-01T02:00:00Z"});
        let model = paging(|alertmanager| {
            alertmanager["maintenance"] = json!([
                {"name": "now", "suppressPages": suppresses_pages, "weekly": now},
                {"name": "past", "suppressPages": true, "once": past},
            ]);
        });
        let sink = Sink::start();
        let alertmanager = start(&format!("window-{suppresses_pages}"), &model, &sink);
        let names = ["InferenceModelDown", "InferenceWorkerCrashLooping"];
        alertmanager.alert(&[alert(&model, names[0], "critical"), alert(&model, names[1], "warning")]);
        let warnings = ["mail", "team", "tickets"].map(|receiver| (receiver, "warning"));
        let pages = ["oncall", "platform", "team", "tickets"].map(|receiver| (receiver, "critical"));
        if suppresses_pages {
            alertmanager.until_muted(&[&warnings[..], &pages].concat());
            assert_eq!(sink.all(), Vec::<(String, Value)>::new());
        } else {
            alertmanager.until_muted(&warnings);
            for path in ["/pagerduty", "/opsgenie/v2/alerts", "/slack"] {
                sink.until(path, |_| true);
            }
            let tickets = sink.until("/tickets", |_| true);
            assert_eq!(tickets[0]["commonLabels"]["alertname"], names[0]);
            assert!(tickets.iter().all(|ticket| ticket["commonLabels"]["severity"] == "critical"), "{tickets:?}");
        }
    }
}

#[test]
fn alertmanager_takes_the_sample_as_it_is() {
    let sink = Sink::start();
    start("sample", &sample("paging"), &sink);
}
