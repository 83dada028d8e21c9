//! Boards about many models at once. The chart installs them; the reader chooses namespaces and models.

use belfry_crds::contract::{defaults, metrics};
use serde_json::{Value, json};

use super::panel::datasource;
use super::{Frame, firing, pods};
use crate::monitoring::promql::SeriesOf;

mod infrastructure;
mod objectives;
mod traffic;
mod troubleshooting;

/// A board, and the name of its file.
pub(in crate::monitoring) fn boards() -> Vec<(&'static str, Value)> {
    let series = SeriesOf::chosen();
    let board = |topic: &'static str, title: &str, description: &str, rows, more: Vec<Value>| {
        let frame = Frame {
            title: format!("Belfry: {title}"),
            uid: format!("belfry-{topic}"),
            description: format!("{description} Installed by the chart; changes are overwritten."),
            runbooks: defaults::RUNBOOK_BASE_URL,
            annotations: vec![firing(&series)],
            variables: namespaces_and_models().into_iter().chain(more).collect(),
        };
        (topic, frame.around(rows))
    };
    vec![
        board("traffic", "traffic", "What all models answer, and how fast.", traffic::rows(&series), vec![]),
        board(
            "objectives",
            "objectives",
            "The budgets of all objectives: what is left, and how long it lasts.",
            objectives::rows(&series),
            vec![],
        ),
        board(
            "infrastructure",
            "infrastructure",
            "What the workers of all models take of their nodes and GPUs, and what holds them back.",
            infrastructure::rows(&series),
            vec![],
        ),
        board(
            "troubleshooting",
            "troubleshooting",
            "Which pod, which route, which reason: for a model that does not do what it should.",
            troubleshooting::rows(&series, &series.clone().selected_pods()),
            vec![pods(&series)],
        ),
    ]
}

fn namespaces_and_models() -> [Value; 2] {
    let info = SeriesOf::any().gauge(&metrics::MODEL_SPEC_INFO);
    let of_namespaces = info.clone().matching("namespace", "$namespace");
    [
        variable("namespace", "Namespace", &format!("label_values({info}, namespace)")),
        variable("model", "Model", &format!("label_values({of_namespaces}, model)")),
    ]
}

/// A variable of which all values are chosen at first.
fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "allValue": ".+", "datasource": datasource(), "includeAll": true, "label": label,
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
        "multi": true, "name": name, "options": [], "query": { "query": query, "refId": name }, "refresh": 2,
        "sort": 1, "type": "query",
    })
}
