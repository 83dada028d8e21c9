//! `spec.observability.alertmanager`.

use serde_json::{Value, json};

use super::Wrong;

const FIELD: &str = "spec.observability.alertmanager";

fn alertmanager(alertmanager: Value) -> Value {
    json!({"observability": {"alertmanager": alertmanager}})
}

fn window(window: Value) -> Value {
    let mut whole = json!({"name": "w"});
    super::super::merge(&mut whole, &window);
    alertmanager(json!({"maintenance": [whole]}))
}

fn webhook(name: &str) -> Value {
    json!({"name": name, "webhook": {"urlSecretRef": {"name": "s", "key": "k"}}})
}

pub(super) fn right() -> Vec<(&'static str, Value)> {
    let week = json!({"from": "2026-11-24T02:00:00Z", "until": "2026-12-01T02:00:00Z"});
    vec![
        ("inhibition and no receiver", alertmanager(json!({}))),
        ("two receivers", alertmanager(json!({"receivers": [webhook("a"), webhook("b")]}))),
        ("a window of a week", window(json!({"once": week}))),
        (
            "a window until midnight",
            window(json!({"weekly": {"days": ["Monday", "Sunday"], "start": "23:00", "end": "24:00"}})),
        ),
    ]
}

pub(super) fn wrong() -> Vec<Wrong> {
    let email = |more: Value| {
        let mut email = json!({"to": ["a@example.com"], "from": "b@example.com", "smarthost": "mail:25"});
        super::super::merge(&mut email, &more);
        alertmanager(json!({"receivers": [{"name": "a", "email": email}]}))
    };
    let once = |from: &str, until: &str| window(json!({"once": {"from": from, "until": until}}));
    vec![
        (
            "a receiver without a channel",
            alertmanager(json!({"receivers": [{"name": "a"}]})),
            &[FIELD, "receivers[0]", "exactly one of slack, pagerDuty, email, webhook and opsgenie"],
        ),
        (
            "one name twice",
            alertmanager(json!({"receivers": [webhook("a"), webhook("a")]})),
            &[FIELD, "receivers[1]", "Duplicate value"],
        ),
        (
            "a severity twice",
            alertmanager(json!({"receivers": [{"name": "a", "severities": ["info", "info"]}]})),
            &[FIELD, "severities[1]", "Duplicate value"],
        ),
        ("a template for an address", email(json!({"to": ["{{ .X }}@example.com"]})), &[FIELD, "email.to[0]"]),
        ("another header in an address", email(json!({"from": "a@example.com\r\nBcc: b"})), &[FIELD, "email.from"]),
        ("no mail server", email(json!({"smarthost": null})), &[FIELD, "email.smarthost", "Required value"]),
        ("a name without a password", email(json!({"username": "a"})), &[FIELD, "username and passwordSecretRef"]),
        ("no time to wait", alertmanager(json!({"groupWait": "0s"})), &[FIELD, "groupWait"]),
        ("a window of no kind", window(json!({})), &[FIELD, "maintenance[0]", "exactly one of once and weekly"]),
        (
            "a window that ends before it begins",
            once("2026-11-24T02:00:00Z", "2026-11-24T01:00:00Z"),
            &[FIELD, "once", "until is after from"],
        ),
        (
            "a window of more than a week",
            once("2026-11-24T02:00:00Z", "2026-12-01T02:01:00Z"),
            &[FIELD, "once", "at most seven days"],
        ),
        ("a window to the second", once("2026-11-24T02:00:30Z", "2026-11-24T03:00:00Z"), &[FIELD, "once.from"]),
        (
            "hours over midnight",
            window(json!({"weekly": {"days": ["Monday"], "start": "23:00", "end": "01:00"}})),
            &[FIELD, "weekly", "use a second window"],
        ),
    ]
}
