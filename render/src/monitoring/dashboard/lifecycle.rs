//! State of the workers: what they run, and why they do not start.

use belfry_crds::contract::metrics;
use serde_json::{Value, json};

use super::panel::{Panel, Row};
use super::query::RATE;
use crate::monitoring::promql::{SeriesOf, by, by_model};

pub(super) fn row(series: &SeriesOf, workers: &SeriesOf) -> Row {
    Row {
        title: "Lifecycle",
        panels: vec![
            state(workers),
            Panel::lines(
                "Restarts and failed loads",
                "short",
                "Restarts of worker containers, and containers that ended with a failed load.",
            )
            .query("restarts", by_model("sum", series.counter(&metrics::MODEL_RESTARTS).increase(RATE)))
            .query("failed loads", by_model("sum", series.counter(&metrics::MODEL_LOAD_FAILURES).increase(RATE))),
            Panel::lines(
                "Pods that wait",
                "short",
                "Pods that no node takes, and containers that wait, by the kubelet's reason.",
            )
            .query("{{reason}}", format!("{} > 0", by("max", &["reason"], series.gauge(&metrics::MODEL_WAITING))))
            .query("no node", format!("max({}) > 0", series.gauge(&metrics::MODEL_UNSCHEDULABLE))),
            Panel::lines(
                "Memory",
                "bytes",
                "The model's weights by pod and device, and each pod's memory beside its limit.",
            )
            .query("{{pod}} weights, {{device}}", by("max", &["pod", "device"], workers.gauge(&metrics::MODEL_MEMORY)))
            .query("{{pod}}", by("max", &["pod"], workers.gauge(&metrics::CONTAINER_MEMORY)))
            .query("limit", format!("max({})", workers.gauge(&metrics::CONTAINER_MEMORY_LIMIT))),
            Panel::lines(
                "Since the last forward pass",
                "s",
                "Seconds since each pod last finished a forward pass. With work queued, many mean a stuck worker.",
            )
            .query("{{pod}}", format!("time() - {}", by("max", &["pod"], workers.gauge(&metrics::LAST_PROGRESS)))),
            Panel::number("Load time", "s", "How long the slowest pod took from its start to a warm model.")
                .size(4, 8)
                .now("", format!("max({} > 0)", workers.gauge(&metrics::MODEL_LOAD_DURATION))),
            Panel::number("Loaded pods", "none", "Pods whose model answers requests.")
                .size(4, 8)
                .now("", format!("sum({})", workers.gauge(&metrics::MODEL_LOADED))),
            table(
                "What runs",
                "What each pod has loaded, and its worker, libtorch and instruction set. More than one \
                digest means that a rollout goes on.",
            )
            .size(24, 6)
            .table(format!(
                "{} * on (pod) group_left (version, torch, isa) {}",
                by(
                    "max",
                    &["pod", "architecture", "dtype", "device", "revision", "digest"],
                    workers.gauge(&metrics::MODEL_INFO)
                ),
                by("max", &["pod", "version", "torch", "isa"], workers.gauge(&metrics::WORKER_BUILD_INFO))
            )),
        ],
    }
}

/// Each pod has one series for each state, and one of them is 1. The panel draws the state's index in the list.
fn state(workers: &SeriesOf) -> Panel {
    let colors = ["yellow", "green", "blue", "red"];
    let mut mapping = serde_json::Map::new();
    for (index, (state, color)) in metrics::MODEL_STATES.iter().zip(colors).enumerate() {
        mapping.insert((index + 1).to_string(), json!({ "color": color, "index": index, "text": state }));
    }
    let series = |(index, state): (usize, &&str)| {
        format!("{} * {}", by("max", &["pod"], workers.gauge(&metrics::MODEL_STATE).eq("state", state)), index + 1)
    };
    let expr = metrics::MODEL_STATES.iter().enumerate().map(series).collect::<Vec<_>>().join(" + on (pod) ");
    let options = json!({
        "alignValue": "left", "rowHeight": 0.8,
    });
    Panel::new(
        "state-timeline",
        "State of the model",
        "none",
        "What each pod's model is doing: loading, loaded, unloading or failed.",
    )
    .size(8, 8)
    .options(options)
    .default("custom", json!({ "fillOpacity": 70, "lineWidth": 0 }))
    .default("mappings", json!([{ "options": Value::Object(mapping), "type": "value" }]))
    .query("{{pod}}", expr)
}

/// Current series as lines of a table: their labels, without time and value.
pub(super) fn table(title: &str, description: &str) -> Panel {
    Panel::new("table", title, "none", description)
        .size(12, 6)
        .options(json!({ "cellHeight": "sm", "showHeader": true }))
        .transform(
            "organize",
            &json!({ "excludeByName": { "Time": true, "Value": true }, "indexByName": {}, "renameByName": {} }),
        )
}
