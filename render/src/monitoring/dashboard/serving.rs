//! Traffic, latency, batches and capacity.

use belfry_crds::contract::metric::Histogram;
use belfry_crds::contract::metrics;
use serde_json::json;

use super::overview::availability;
use super::panel::{Panel, Row};
use super::query::{RATE, latency_quantile};
use crate::model::ValidModel;
use crate::monitoring::objective;
use crate::monitoring::promql::{SeriesOf, by};

pub(super) fn traffic(model: &ValidModel, workers: &SeriesOf) -> Row {
    let requests = workers.counter(&metrics::REQUESTS);
    let allowed = availability(model).map_or(0.01, |ratio| ((1.0 - ratio) * 1e9).round() / 1e9);
    let share = |bad: String| format!("({bad} or 0 * sum({rate})) / (sum({rate}) > 0)", rate = requests.rate(RATE));
    let rejected = requests.clone().eq("status", "429");
    Row {
        title: "Traffic",
        panels: vec![
            Panel::stacked(
                "Requests by route and status",
                "reqps",
                "Answered inference requests in a second. 499 counts callers who left before the answer.",
            )
            .query(
                "{{endpoint}} {{status}}",
                format!("{} > 0", by("sum", &["endpoint", "status"], requests.rate(RATE))),
            ),
            Panel::lines(
                "Failed and refused",
                "percentunit",
                "Share of requests that were answered with a 5xx, and with 429. The line is what the objective allows.",
            )
            .default("max", json!(1))
            .thresholds(&[(allowed, "red")])
            .threshold_lines()
            .query("5xx", share(format!("sum({})", objective::failed(workers).rate(RATE))))
            .query("429", share(format!("sum({})", rejected.rate(RATE)))),
            Panel::lines(
                "Failures by reason",
                "reqps",
                "Requests that were not answered with 200, in a second, by the code of the error body.",
            )
            .query(
                "{{reason}}",
                format!("{} > 0", by("sum", &["reason"], requests.clone().matching("status", "[45]..").rate(RATE))),
            ),
        ],
    }
}

pub(super) fn latency(workers: &SeriesOf) -> Row {
    let phases = |part: &str| {
        let series = if part == "sum" {
            workers.sum(&metrics::REQUEST_DURATION)
        } else {
            workers.count(&metrics::REQUEST_DURATION)
        };
        by("sum", &["phase"], series.one_of("phase", &metrics::PHASES[1..]).rate(RATE))
    };
    let total = workers.buckets(&metrics::REQUEST_DURATION).eq("phase", "total");
    let heatmap = json!({
        "color": { "exponent": 0.5, "mode": "scheme", "scheme": "Oranges", "steps": 64 }, "yAxis": { "unit": "s" },
    });
    Row {
        title: "Latency",
        panels: vec![
            [0.5, 0.95, 0.99]
                .iter()
                .fold(
                    Panel::lines(
                        "Time to the answer",
                        "s",
                        "Half, 95 and 99 of 100 answers took no longer, up to 30 s.",
                    ),
                    |panel, quantile| {
                        panel.query(&format!("p{}", quantile * 100.0), latency_quantile(workers, *quantile))
                    },
                )
                .exemplars(),
            Panel::new("heatmap", "Requests by time to the answer", "s", "How many requests took how long.")
                .size(8, 8)
                .options(heatmap)
                .buckets(by("sum", &["le"], total.increase(RATE)))
                .exemplars(),
            Panel::stacked("Mean time by phase", "s", "Where a request that was served spends its time.")
                .query("{{phase}}", format!("{} / ({} > 0)", phases("sum"), phases("count"))),
        ],
    }
}

pub(super) fn batching(workers: &SeriesOf) -> Row {
    let quantiles = |panel: Panel, metric: &Histogram| {
        [0.5, 0.95].iter().fold(panel, |panel, quantile| {
            let buckets = by("sum", &["le"], workers.buckets(metric).rate(RATE));
            panel.query(&format!("p{}", quantile * 100.0), format!("histogram_quantile({quantile}, {buckets})"))
        })
    };
    Row {
        title: "Batches and tokens",
        panels: vec![
            quantiles(
                Panel::lines(
                    "Texts in a batch",
                    "short",
                    "Texts in one forward pass. Always 1 means that requests do not meet in the queue.",
                ),
                &metrics::BATCH_SIZE,
            ),
            quantiles(
                Panel::lines("Tokens in a batch", "short", "Tokens in one forward pass."),
                &metrics::BATCH_TOKENS,
            ),
            Panel::stacked("Tokens in a second", "cps", "Tokens that went through the model, by pod: the throughput.")
                .query("{{pod}}", by("sum", &["pod"], workers.counter(&metrics::TOKENS).rate(RATE))),
            Panel::lines(
                "Device in use",
                "percentunit",
                "Share of the time in which GPU or CPU worked on forward passes, by pod, and in which the CPU limit held the pod back.",
            )
            .query("{{pod}}", by("sum", &["pod"], workers.counter(&metrics::DEVICE_BUSY).rate(RATE)))
            .query(
                "{{pod}} held back",
                format!(
                    "{} / {}",
                    by("sum", &["pod"], workers.counter(&metrics::CONTAINER_CPU_THROTTLED_PERIODS).rate(RATE)),
                    by("sum", &["pod"], workers.counter(&metrics::CONTAINER_CPU_PERIODS).rate(RATE))
                ),
            ),
        ],
    }
}

pub(super) fn capacity(series: &SeriesOf, workers: &SeriesOf) -> Row {
    Row {
        title: "Capacity",
        panels: vec![
            Panel::lines(
                "Queue",
                "short",
                "Texts that wait, by pod, and how many may wait in one; one more is refused with 429.",
            )
            .query("{{pod}}", by("sum", &["pod"], workers.gauge(&metrics::QUEUE_DEPTH)))
            .query("capacity of one pod", format!("max({})", workers.gauge(&metrics::QUEUE_CAPACITY))),
            Panel::lines(
                "Requests in flight",
                "short",
                "Requests that were accepted and are not answered yet, by pod.",
            )
            .query("{{pod}}", by("sum", &["pod"], workers.gauge(&metrics::ACTIVE_REQUESTS))),
            Panel::lines(
                "Connections",
                "short",
                "Open connections by pod, and how many callers may have to one; on one more requests get 503.",
            )
            .query("{{pod}}", by("sum", &["pod"], workers.gauge(&metrics::OPEN_CONNECTIONS)))
            .query("limit of one pod", format!("max({})", workers.gauge(&metrics::CONNECTIONS_LIMIT))),
            Panel::lines("Replicas", "short", "Worker pods as the operator sees them.")
                .query("{{state}}", by("max", &["state"], series.gauge(&metrics::MODEL_REPLICAS))),
        ],
    }
}
