//! The page of the archive: what a person reads first. One file, without anything from outside.

use std::fmt::Write as _;

use belfry_crds::contract::load_failure::LoadFailure;
use belfry_render::monitoring::{alerts, runbook_pages};
use serde_json::Value;

use super::collect::{Case, text};
use super::{redact, report};

/// Events on the page; the file has all.
const EVENTS: usize = 60;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2733}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d5dde5}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #eef2f6}\
.bad{color:#b3261e;font-weight:600}.good{color:#1b6e3c}pre{background:#f5f7f9;padding:.8rem;overflow:auto;white-space:pre-wrap}\
small{color:#5b6b7b}";

/// Writes it.
pub(super) fn page(case: &Case, time: &str) -> String {
    let title = format!("{}/{}", case.namespace, case.name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style>\n<h1>InferenceModel {0}</h1>\n<p><small>{1}, by belfry {2}</small></p>\n",
        escaped(&title),
        escaped(time),
        env!("CARGO_PKG_VERSION"),
    );
    conditions(&mut page, case);
    firing(&mut page, case);
    missing(&mut page, case);
    pods(&mut page, case);
    differences(&mut page, case);
    events(&mut page, case);
    page += "<h2>Files</h2>\n<ul>\n";
    for name in case.files.keys() {
        let _ = writeln!(page, "<li><a href=\"{0}\">{0}</a></li>", escaped(name));
    }
    page + "</ul>\n</html>\n"
}

fn conditions(page: &mut String, case: &Case) {
    *page += "<h2>Conditions</h2>\n";
    let conditions = report::conditions(&case.model);
    if conditions.is_empty() {
        *page += "<p class=\"bad\">The model has no status: the operator has not seen it yet, or does not run.</p>\n";
        return;
    }
    let rows = conditions.into_iter().map(|[type_, status, reason, since, message]| {
        let mood = if status == "True" { "good" } else { "bad" };
        (mood, vec![type_, status, reason, since, message])
    });
    table(page, &["condition", "status", "reason", "since", "message"], rows);
}

fn firing(page: &mut String, case: &Case) {
    *page += "<h2>Alerts</h2>\n";
    let Some(firing) = &case.alerts else {
        *page += "<p>No Alertmanager could be asked.</p>\n";
        return;
    };
    if firing.is_empty() {
        *page += "<p>None fires.</p>\n";
    }
    for alert in firing {
        let (name, severity) = (text(alert, "/labels/alertname"), text(alert, "/labels/severity"));
        let (since, state) = (text(alert, "/startsAt"), text(alert, "/status/state"));
        let words = [text(alert, "/annotations/summary"), text(alert, "/annotations/description")].join(" ");
        let head = [name.as_str(), &severity, &state, &since].map(escaped).join(" · ");
        let _ = writeln!(page, "<p><span class=\"bad\">{head}</span><br>{}</p>", escaped(&words));
        if let Some(known) = alerts().iter().find(|known| known.name == name) {
            let runbook = runbook_pages::page_about(known, &case.namespace, &case.name);
            let _ = writeln!(page, "<details><summary>What to do</summary><pre>{}</pre></details>", escaped(&runbook));
        }
    }
}

fn pods(page: &mut String, case: &Case) {
    *page += "<h2>Pods</h2>\n";
    let Some(pods) = &case.pods else {
        *page += "<p>They could not be read; see above.</p>\n";
        return;
    };
    if pods.is_empty() {
        *page += "<p>There is none.</p>\n";
        return;
    }
    let rows = pods.iter().map(|pod| {
        let is_ready = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let is_ready = is_ready.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
        let states: Vec<_> = containers.map(container).collect();
        let ready = if is_ready { "ready" } else { "not ready" };
        let cells = vec![
            text(pod, "/metadata/name"),
            format!("{}, {ready}", text(pod, "/status/phase")),
            text(pod, "/spec/nodeName"),
            states.join("; "),
        ];
        (if is_ready { "good" } else { "bad" }, cells)
    });
    table(page, &["pod", "state", "node", "containers"], rows);
}

/// The state of a container, and how it ended before.
fn container(status: &Value) -> String {
    let state = |of: &Value| {
        let (word, details) =
            of.as_object().and_then(|states| states.iter().next()).map(|(w, d)| (w.clone(), d.clone()))?;
        let code = details["exitCode"].as_i64().map(|code| format!(" with {code}")).unwrap_or_default();
        let reason = details["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
        let message = details["message"].as_str().map(|message| format!(": {}", said(message))).unwrap_or_default();
        Some(format!("{word}{reason}{code}{message}"))
    };
    let (now, before) = (state(&status["state"]).unwrap_or_default(), state(&status["lastState"]));
    let before = before.map(|before| format!(", before: {before}")).unwrap_or_default();
    let restarts = status["restartCount"].as_u64().unwrap_or_default();
    format!("{} {now}, {restarts} restarts{before}", text(status, "/name"))
}

/// What a worker of ours says in its termination log is JSON with a message.
fn said(message: &str) -> String {
    LoadFailure::parse(message).map_or_else(|| message.to_owned(), |failure| failure.message)
}

fn differences(page: &mut String, case: &Case) {
    *page += "<h2>Objects that are not as wanted</h2>\n";
    match &case.differences {
        None => *page += "<p>That is not known.</p>\n",
        Some(found) => {
            let _ = writeln!(page, "<pre>{}</pre>", escaped(&report::differences(found)));
        }
    }
}

fn events(page: &mut String, case: &Case) {
    *page += "<h2>Events, the newest first</h2>\n<pre>";
    for event in case.events.iter().rev().take(EVENTS) {
        let _ = writeln!(page, "{}", escaped(&report::event(event)));
    }
    *page += "</pre>\n";
}

fn missing(page: &mut String, case: &Case) {
    if case.missing.is_empty() {
        return;
    }
    *page += "<h2>What could not be had</h2>\n";
    let rows = case.missing.iter().map(|(what, why)| ("", vec![what.clone(), why.clone()]));
    table(page, &["what", "why"], rows);
}

fn table<'a>(page: &mut String, head: &[&str], rows: impl Iterator<Item = (&'a str, Vec<String>)>) {
    *page += "<table><tr>";
    head.iter().for_each(|name| *page += &format!("<th>{name}</th>"));
    *page += "</tr>\n";
    for (mood, cells) in rows {
        *page += "<tr>";
        for (index, cell) in cells.iter().enumerate() {
            let class = if index == 1 && !mood.is_empty() { format!(" class=\"{mood}\"") } else { String::new() };
            *page += &format!("<td{class}>{}</td>", escaped(cell));
        }
        *page += "</tr>\n";
    }
    *page += "</table>\n";
}

/// A text of the cluster, for HTML and without secrets.
fn escaped(text: &str) -> String {
    let text = redact::text(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_shows_what_is_wrong_and_runs_nothing_that_the_cluster_says() {
        let evil = "<script>alert(1)</script>";
        let condition = json!({"type": "Ready", "status": "False", "reason": "LoadFailed", "message": evil});
        let alert = json!({"labels": {"alertname": "InferenceModelDown", "severity": "critical"}, "annotations": {"summary": evil}});
        let status = json!({
            "phase": "Running",
            "containerStatuses": [{"name": "worker", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                                   "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
        });
        let case = Case {
            namespace: "search".into(),
            name: "minilm".into(),
            model: json!({"status": {"conditions": [condition]}}),
            alerts: Some(vec![alert]),
            pods: Some(vec![json!({"metadata": {"name": "minilm-1"}, "status": status})]),
            missing: vec![("metrics".into(), evil.into())],
            files: [("pods/minilm-1/worker.log".to_owned(), String::new())].into(),
            ..Case::default()
        };
        let page = page(&case, "now");
        assert!(!page.contains("<script"), "{page}");
        for part in [
            "InferenceModel search/minilm",
            "LoadFailed",
            "InferenceModelDown · critical",
            "NAMESPACE=search",
            "worker waiting CrashLoopBackOff, 3 restarts, before: terminated Error with 3",
            "What could not be had",
            "href=\"pods/minilm-1/worker.log\"",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("http://") && !page.contains("src="), "nothing from outside");
    }
}
