//! What the workers take of their nodes and GPUs.

use belfry_crds::contract::metric::Gauge;
use belfry_crds::contract::metrics;
use serde_json::json;

use super::super::fleet::sum_by;
use super::super::lifecycle::table;
use super::super::panel::{Panel, Row};
use super::super::query::RATE;
use crate::monitoring::promql::{SeriesOf, by, by_model};

const PLACE: &[&str] = &["zone", "capacity_type", "gpu"];
const EACH: &str = "{{namespace}}/{{model}}";

pub(super) fn rows(series: &SeriesOf) -> Vec<Row> {
    vec![nodes(series), cost(series), containers(series), gpus(series)]
}

fn nodes(series: &SeriesOf) -> Row {
    let requested =
        |metric: &Gauge| format!("topk(20, {} > 0)", sum_by(&["namespace", "model"], PLACE, series.gauge(metric)));
    let placed = sum_by(PLACE, PLACE, series.gauge(&metrics::MODEL_PLACED));
    Row {
        title: "Nodes",
        panels: vec![
            table("Where the workers run", "Worker pods by zone, capacity type and GPUs of their node; empty or unknown where the node does not say.")
                .table(placed),
            Panel::lines("Pods without a node", "short", "Worker pods that no node can run.")
                .query(EACH, format!("{} > 0", by_model("max", series.gauge(&metrics::MODEL_UNSCHEDULABLE)))),
            Panel::stacked("Requested CPU by model", "short", "CPUs that worker pods hold of their nodes, used or not.")
                .query(EACH, requested(&metrics::MODEL_REQUESTED_CPU)),
            Panel::stacked("Requested memory by model", "bytes", "Memory that worker pods hold of their nodes, used or not.")
                .query(EACH, requested(&metrics::MODEL_REQUESTED_MEMORY)),
            Panel::stacked("Requested GPUs by model", "short", "GPUs that worker pods hold of their nodes, used or not.")
                .query(EACH, requested(&metrics::MODEL_REQUESTED_GPUS)),
        ],
    }
}

fn cost(series: &SeriesOf) -> Row {
    let hourly = sum_by(&["namespace", "model"], PLACE, series.gauge(&metrics::MODEL_COST));
    let tokens = by_model("sum", series.counter(&metrics::TOKENS).rate(RATE));
    let places = &["namespace", "model", "zone", "capacity_type", "gpu"];
    let placed = by("max", places, series.gauge(&metrics::MODEL_PLACED));
    let priced = by("max", places, series.gauge(&metrics::MODEL_COST));
    Row {
        title: "Cost, where the operator has prices",
        panels: vec![
            Panel::stacked(
                "Cost of an hour by model",
                "none",
                "What the pods request, at the operator's prices, in its currency.",
            )
            .query(EACH, format!("topk(20, {hourly})")),
            Panel::lines(
                "Cost of a million tokens",
                "none",
                "At the present cost and throughput, of models that answer.",
            )
            .query(EACH, format!("topk(20, {hourly} / ({tokens} * 3600 / 1e6 > 0))")),
            Panel::number("Cost of a month", "none", "Of all these models, at the present rate, for 730 hours.")
                .size(4, 8)
                .query("", format!("sum({hourly}) * 730")),
            Panel::number(
                "Pods without a price",
                "none",
                "Worker pods on nodes that no row of the prices fits. They are in no cost.",
            )
            .size(4, 8)
            .thresholds(&[(1.0, "yellow")])
            .now("", format!("sum({placed} unless {priced}) or vector(0)")),
        ],
    }
}

fn containers(series: &SeriesOf) -> Row {
    let pods = &["namespace", "model", "pod"];
    let fill = format!(
        "{} / ({} > 0)",
        by("max", pods, series.gauge(&metrics::CONTAINER_MEMORY)),
        by("max", pods, series.gauge(&metrics::CONTAINER_MEMORY_LIMIT))
    );
    let held_back = format!(
        "{} / ({} > 0)",
        by("sum", pods, series.counter(&metrics::CONTAINER_CPU_THROTTLED_PERIODS).rate(RATE)),
        by("sum", pods, series.counter(&metrics::CONTAINER_CPU_PERIODS).rate(RATE))
    );
    let each = "{{namespace}}/{{pod}}";
    Row {
        title: "Containers",
        panels: vec![
            Panel::lines(
                "Memory beside its limit",
                "percentunit",
                "Memory that can't be freed, as a share of the limit. At 100 % the kernel kills the worker.",
            )
            .default("max", json!(1))
            .thresholds(&[(0.9, "red")])
            .threshold_lines()
            .query(each, format!("topk(20, {fill})")),
            Panel::lines(
                "Held back by the CPU limit",
                "percentunit",
                "Share of the time slices in which the limit held threads back.",
            )
            .default("max", json!(1))
            .query(each, format!("topk(20, {held_back})")),
            Panel::lines("Restarts by model", "short", "Worker containers that were restarted.").query(
                EACH,
                format!("topk(20, {} > 0)", by_model("max", series.counter(&metrics::MODEL_RESTARTS).increase(RATE))),
            ),
        ],
    }
}

fn gpus(series: &SeriesOf) -> Row {
    let gpus = &["namespace", "pod", "uuid"];
    let each = "{{namespace}}/{{pod}} {{uuid}}";
    let of_each = |gauge: &Gauge| by("max", gpus, series.gauge(gauge));
    Row {
        title: "GPUs, of models on GPUs",
        panels: vec![
            Panel::lines("GPU utilization", "percentunit", "Share of the time in which each GPU computed.")
                .default("max", json!(1))
                .query(each, of_each(&metrics::GPU_UTILIZATION)),
            Panel::lines("GPU memory", "percentunit", "Memory in use, as a share of all of each GPU.")
                .default("max", json!(1))
                .query(
                    each,
                    format!("{} / {}", of_each(&metrics::GPU_MEMORY_USED), of_each(&metrics::GPU_MEMORY_TOTAL)),
                ),
            Panel::lines("GPU temperature", "celsius", "Temperature of each GPU's die.")
                .query(each, of_each(&metrics::GPU_TEMPERATURE)),
            Panel::lines("GPU power", "watt", "Power that each GPU draws.").query(each, of_each(&metrics::GPU_POWER)),
            Panel::lines("GPUs held back", "short", "Reasons that hold the clocks of each GPU back now.").query(
                "{{namespace}}/{{pod}} {{reason}}",
                format!(
                    "{} > 0",
                    by("max", &["namespace", "pod", "uuid", "reason"], series.gauge(&metrics::GPU_THROTTLED))
                ),
            ),
            Panel::lines(
                "GPU errors",
                "short",
                "Errors of memory that were not corrected, and errors that the driver reported.",
            )
            .query(
                "{{pod}} memory",
                format!(
                    "{} > 0",
                    by("sum", gpus, series.counter(&metrics::GPU_ECC_ERRORS).eq("type", "uncorrected").increase(RATE))
                ),
            )
            .query(
                "{{pod}} Xid",
                format!("{} > 0", by("sum", gpus, series.counter(&metrics::GPU_XID_ERRORS).increase(RATE))),
            ),
        ],
    }
}
