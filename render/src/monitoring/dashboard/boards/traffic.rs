//! What all models answer.

use belfry_crds::contract::metrics;
use serde_json::json;

use super::super::overview::alert_list;
use super::super::panel::{Panel, Row};
use super::super::query::{RATE, latency_quantile, phase_quantile, success_ratio};
use crate::monitoring::objective;
use crate::monitoring::promql::{SeriesOf, by_model};

/// Lines of one panel. With more models the busiest are shown.
const MOST: u32 = 20;

pub(super) fn rows(series: &SeriesOf) -> Vec<Row> {
    vec![now(series), over_time(series), latency(series), alerts(series)]
}

fn now(series: &SeriesOf) -> Row {
    let requests = series.counter(&metrics::REQUESTS).rate(RATE);
    let replicas =
        |state: &str| format!("sum({})", by_model("max", series.gauge(&metrics::MODEL_REPLICAS).eq("state", state)));
    Row {
        title: "Do they serve?",
        panels: vec![
            Panel::number("Requests", "reqps", "Answered inference requests in a second, of all models.")
                .query("", format!("sum({requests})")),
            Panel::number("Success ratio", "percentunit", "Share of requests that were not answered with a 5xx.")
                .default("max", json!(1))
                .thresholds_from("red", &[(0.99, "green")])
                .query("", success_ratio(series)),
            Panel::number("Latency p95", "s", "95 of 100 requests were answered within this time.")
                .query("", latency_quantile(series, 0.95)),
            Panel::number("Loaded models", "none", "Models of which at least one worker answers.")
                .now("", format!("count({} == 1) or vector(0)", by_model("max", series.gauge(&metrics::MODEL_LOADED)))),
            Panel::number("Replicas", "none", "Worker pods that are ready, and that are wanted.")
                .query("ready", replicas("ready"))
                .query("wanted", replicas("desired")),
            Panel::number("Firing alerts", "none", "Alerts of these models that ring now, notes left out.")
                .thresholds(&[(1.0, "red")])
                .now(
                    "",
                    format!(
                        "count({}) or vector(0)",
                        series.alerts().eq("alertstate", "firing").matching("severity", "critical|warning")
                    ),
                ),
        ],
    }
}

fn over_time(series: &SeriesOf) -> Row {
    let requests = series.counter(&metrics::REQUESTS);
    let busiest = |expr: String| format!("topk({MOST}, {expr} > 0)");
    let each = "{{namespace}}/{{model}}";
    Row {
        title: "Traffic by model",
        panels: vec![
            Panel::stacked(
                "Requests by model",
                "reqps",
                "Answered requests in a second, whatever the answer, of the busiest models.",
            )
            .query(each, busiest(by_model("sum", requests.rate(RATE)))),
            Panel::lines(
                "Failures by model",
                "percentunit",
                "Share of requests that were answered with a 5xx, of the models where any were.",
            )
            .default("max", json!(1))
            .query(
                each,
                busiest(format!(
                    "{} / {}",
                    by_model("sum", objective::failed(series).rate(RATE)),
                    by_model("sum", requests.rate(RATE))
                )),
            ),
            Panel::lines(
                "Refused by model",
                "percentunit",
                "Share of requests that were refused with 429, of the models where any were.",
            )
            .default("max", json!(1))
            .query(
                each,
                busiest(format!(
                    "{} / {}",
                    by_model("sum", requests.clone().eq("status", "429").rate(RATE)),
                    by_model("sum", requests.rate(RATE))
                )),
            ),
            Panel::stacked("Tokens by model", "cps", "Tokens that went through the models in a second.")
                .query(each, busiest(by_model("sum", series.counter(&metrics::TOKENS).rate(RATE)))),
            Panel::lines(
                "Queue fill by model",
                "percentunit",
                "How full the queues of all replicas are; at 100 % requests are refused with 429.",
            )
            .default("max", json!(1))
            .query(
                each,
                busiest(format!(
                    "{} / {}",
                    by_model("sum", series.gauge(&metrics::QUEUE_DEPTH)),
                    by_model("sum", series.gauge(&metrics::QUEUE_CAPACITY))
                )),
            ),
            Panel::lines("Ready replicas by model", "short", "Worker pods that are ready: what autoscaling does.")
                .query(
                    each,
                    format!(
                        "topk({MOST}, {})",
                        by_model("max", series.gauge(&metrics::MODEL_REPLICAS).eq("state", "ready"))
                    ),
                ),
        ],
    }
}

fn latency(series: &SeriesOf) -> Row {
    let models = &["namespace", "model"];
    Row {
        title: "Latency by model",
        panels: vec![
            Panel::lines(
                "Latency p95 by model",
                "s",
                "95 of 100 requests were answered within this time, of the slowest models.",
            )
            .size(12, 8)
            .query(
                "{{namespace}}/{{model}}",
                format!("topk({MOST}, {})", phase_quantile(series, 0.95, "total", models)),
            )
            .exemplars(),
            Panel::lines(
                "Time in the queue, p95",
                "s",
                "95 of 100 requests waited no longer for their batch, of the slowest models.",
            )
            .size(12, 8)
            .query(
                "{{namespace}}/{{model}}",
                format!("topk({MOST}, {})", phase_quantile(series, 0.95, "queue", models)),
            ),
        ],
    }
}

fn alerts(series: &SeriesOf) -> Row {
    Row { title: "Alerts", panels: vec![alert_list(series, "Alerts of these models that ring or are about to.")] }
}
