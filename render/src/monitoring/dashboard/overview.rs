//! The first row, which answers "is it serving?", and the last, which lists alerts.

use belfry_crds::contract::metrics;
use serde_json::json;

use super::panel::{Panel, Row};
use super::query::{RATE, latency_quantile, success_ratio};
use crate::model::{ValidIndicator, ValidModel};
use crate::monitoring::promql::SeriesOf;

pub(super) fn row(model: &ValidModel, series: &SeriesOf) -> Row {
    let requests = series.counter(&metrics::REQUESTS).rate(RATE);
    let replicas = |state: &str| format!("max({})", series.gauge(&metrics::MODEL_REPLICAS).eq("state", state));
    let fill =
        format!("sum({}) / sum({})", series.gauge(&metrics::QUEUE_DEPTH), series.gauge(&metrics::QUEUE_CAPACITY));
    let firing = series.alerts().eq("alertstate", "firing");
    let target = availability(model).unwrap_or(0.99);
    Row {
        title: "Is it serving?",
        panels: vec![
            Panel::number("Requests", "reqps", "Answered inference requests in a second, whatever the answer.")
                .query("", format!("sum({requests})")),
            Panel::number("Success ratio", "percentunit", "Share of requests that were not answered with a 5xx.")
                .default("max", json!(1))
                .thresholds_from("red", &[(target, "green")])
                .query("", success_ratio(series)),
            Panel::number("Latency p95", "s", "95 of 100 requests were answered within this time.")
                .query("", latency_quantile(series, 0.95)),
            Panel::number("Ready replicas", "none", "Worker pods that are ready, and that are wanted.")
                .query("ready", replicas("ready"))
                .query("wanted", replicas("desired")),
            Panel::number(
                "Queue fill",
                "percentunit",
                "How full the queues of all replicas are; at 100 % requests are refused with 429.",
            )
            .default("max", json!(1))
            .thresholds(&[(0.5, "yellow"), (0.8, "red")])
            .query("", fill),
            Panel::number("Firing alerts", "none", "Alerts of this model that ring now.")
                .thresholds(&[(1.0, "red")])
                .now("", format!("count({firing}) or vector(0)")),
        ],
    }
}

/// The objective of availability, if there is one.
pub(super) fn availability(model: &ValidModel) -> Option<f64> {
    model
        .monitoring
        .objectives
        .iter()
        .find(|objective| objective.indicator == ValidIndicator::Availability)
        .map(|objective| objective.ratio)
}

pub(super) fn alerts(series: &SeriesOf) -> Row {
    Row { title: "Alerts", panels: vec![alert_list(series, "Alerts of this model that ring or are about to.")] }
}

/// The list of alerts with these labels.
pub(super) fn alert_list(series: &SeriesOf, description: &str) -> Panel {
    let options = json!({
        "alertInstanceLabelFilter": series.matchers(), "datasource": "${datasource}", "maxItems": 20, "sortOrder": 3, "viewMode": "list",
        "stateFilter": { "error": true, "firing": true, "noData": false, "normal": false, "pending": true, "recovering": true },
    });
    Panel::new("alertlist", "Alerts", "none", description).size(24, 8).options(options)
}
