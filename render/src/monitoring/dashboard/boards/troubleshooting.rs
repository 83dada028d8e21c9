//! Which pod, which route, which reason.

use belfry_crds::condition::ConditionStatus;
use belfry_crds::contract::metrics;
use serde_json::json;

use super::super::lifecycle::table;
use super::super::overview::alert_list;
use super::super::panel::{Panel, Row};
use super::super::query::RATE;
use crate::monitoring::promql::{SeriesOf, by, by_model};

const POD: &str = "{{namespace}}/{{pod}}";

pub(super) fn rows(series: &SeriesOf, workers: &SeriesOf) -> Vec<Row> {
    vec![why(series), requests(workers), pods(workers), process(workers), alerts(series)]
}

fn why(series: &SeriesOf) -> Row {
    let bad = by(
        "max",
        &["namespace", "model", "type", "status", "reason"],
        series
            .gauge(&metrics::MODEL_CONDITION)
            .matching("type", "Ready|ModelLoaded|MonitoringReady|RulesEvaluating|TargetsUp|MonitorSelected")
            .not("status", ConditionStatus::True.as_str()),
    );
    Row {
        title: "What the operator says",
        panels: vec![
            table("Conditions that are not True", "Each with its reason; `kubectl describe` has the message.")
                .table(bad),
            Panel::lines("Containers that wait", "short", "Containers that wait, by the kubelet's reason.").query(
                "{{namespace}}/{{model}} {{reason}}",
                format!("{} > 0", by("max", &["namespace", "model", "reason"], series.gauge(&metrics::MODEL_WAITING))),
            ),
            Panel::lines(
                "Restarts and failed loads",
                "short",
                "Restarts of worker containers, and containers that ended with a failed load.",
            )
            .query(
                "{{namespace}}/{{model}} restarts",
                format!("{} > 0", by_model("max", series.counter(&metrics::MODEL_RESTARTS).increase(RATE))),
            )
            .query(
                "{{namespace}}/{{model}} failed loads",
                format!("{} > 0", by_model("max", series.counter(&metrics::MODEL_LOAD_FAILURES).increase(RATE))),
            ),
        ],
    }
}

fn requests(workers: &SeriesOf) -> Row {
    let failed = workers.counter(&metrics::REQUESTS).matching("status", "[45]..");
    let bytes = |metric| by("sum", &["pod"], workers.counter(metric).rate(RATE));
    Row {
        title: "Requests",
        panels: vec![
            Panel::lines(
                "Most frequent errors",
                "reqps",
                "The ten most frequent answers other than 200, by route, status and reason.",
            )
            .query(
                "{{endpoint}} {{status}} {{reason}}",
                format!("topk(10, {} > 0)", by("sum", &["endpoint", "status", "reason"], failed.rate(RATE))),
            ),
            Panel::lines("Requests by route", "reqps", "Answered requests in a second, by route.").query(
                "{{endpoint}}",
                format!("{} > 0", by("sum", &["endpoint"], workers.counter(&metrics::REQUESTS).rate(RATE))),
            ),
            Panel::lines("Bytes", "bytes", "Bytes in a second: bodies of requests, and of answers.")
                .query("{{pod}} in", bytes(&metrics::REQUEST_BYTES))
                .query("{{pod}} out", bytes(&metrics::RESPONSE_BYTES)),
        ],
    }
}

fn pods(workers: &SeriesOf) -> Row {
    let each = &["namespace", "pod"];
    let time = by(
        "sum",
        &["namespace", "pod", "le"],
        workers.buckets(&metrics::REQUEST_DURATION).eq("phase", "total").rate(RATE),
    );
    let active = by("sum", each, workers.gauge(&metrics::ACTIVE_REQUESTS));
    let rate = by("sum", each, workers.counter(&metrics::REQUESTS).rate(RATE));
    Row {
        title: "Pods beside each other",
        panels: vec![
            Panel::lines("Latency p95 by pod", "s", "95 of 100 requests were answered within this time. One slow pod among fast ones has a slow node.")
                .query(POD, format!("histogram_quantile(0.95, {time})"))
                .exemplars(),
            Panel::lines("Share of the requests", "percentunit", "The share of all requests that each pod answers. Where one has nearly all, a caller keeps one connection open.")
                .default("max", json!(1))
                .query(POD, format!("{rate} / on () group_left () (sum({rate}) > 0)")),
            Panel::lines("Requests in work by pod", "short", "Requests that each pod has begun and not answered.").query(POD, active),
            Panel::lines("Queue by pod", "percentunit", "How full each queue is.").default("max", json!(1)).query(
                POD,
                format!("{} / {}", by("sum", each, workers.gauge(&metrics::QUEUE_DEPTH)), by("sum", each, workers.gauge(&metrics::QUEUE_CAPACITY))),
            ),
            Panel::lines("Oldest text in the queue", "s", "For how long the text at the head of each queue has waited.")
                .query(POD, by("max", each, workers.gauge(&metrics::QUEUE_OLDEST_WAIT))),
            Panel::lines("Device in use by pod", "percentunit", "Share of the time in which each pod's model computed.")
                .default("max", json!(1))
                .query(POD, by("sum", each, workers.counter(&metrics::DEVICE_BUSY).rate(RATE))),
        ],
    }
}

fn process(workers: &SeriesOf) -> Row {
    let each = &["namespace", "pod"];
    let memory_events = workers.counter(&metrics::CONTAINER_MEMORY_EVENTS).increase(RATE);
    Row {
        title: "Processes",
        panels: vec![
            Panel::lines("Targets", "none", "1 where Prometheus' last scrape of the pod succeeded, else 0.")
                .default("max", json!(1))
                .query(POD, by("max", each, workers.up())),
            Panel::lines(
                "Threads that speak HTTP",
                "percentunit",
                "Share of their time in which they work. At 100 % answers wait for them.",
            )
            .default("max", json!(1))
            .query(
                POD,
                format!(
                    "{} / {}",
                    by("sum", each, workers.counter(&metrics::HTTP_BUSY).rate(RATE)),
                    by("sum", each, workers.gauge(&metrics::HTTP_THREADS))
                ),
            ),
            Panel::lines("Open connections", "short", "Connections of each pod, and connections that it refused.")
                .query(POD, by("sum", each, workers.gauge(&metrics::OPEN_CONNECTIONS)))
                .query(
                    "{{pod}} refused",
                    format!("{} > 0", by("sum", each, workers.counter(&metrics::CONNECTIONS_REFUSED).increase(RATE))),
                ),
            Panel::lines(
                "Memory events",
                "short",
                "What the kernel did because of the memory limit: it reclaimed, or killed.",
            )
            .query("{{pod}} {{event}}", format!("{} > 0", by("sum", &["pod", "event"], memory_events))),
            Panel::lines(
                "Lost telemetry",
                "short",
                "Log lines that were lost, and spans that no collector took. Requests do not wait for either.",
            )
            .query(
                "{{pod}} log lines",
                format!("{} > 0", by("sum", each, workers.counter(&metrics::LOG_LINES_DROPPED).increase(RATE))),
            )
            .query(
                "{{pod}} spans {{outcome}}",
                format!(
                    "{} > 0",
                    by(
                        "sum",
                        &["pod", "outcome"],
                        workers.counter(&metrics::TRACE_SPANS).not("outcome", "exported").increase(RATE)
                    )
                ),
            ),
            Panel::lines(
                "Since the last forward pass by pod",
                "s",
                "Seconds since each pod last finished a forward pass. With work queued, many mean a stuck worker.",
            )
            .query(POD, format!("time() - {}", by("max", each, workers.gauge(&metrics::LAST_PROGRESS)))),
        ],
    }
}

fn alerts(series: &SeriesOf) -> Row {
    Row { title: "Alerts", panels: vec![alert_list(series, "Alerts of these models that ring or are about to.")] }
}
