//! All models together: which of them do not serve, and how much of the cluster they use.
//!
//! Each instance of the operator exports the same series about models, so `max by` first removes the duplicates.

use belfry_crds::condition::{ConditionStatus, ConditionType};
use belfry_crds::contract::metric::Gauge;
use belfry_crds::contract::metrics;

use super::lifecycle::table;
use super::panel::{Panel, Row};
use super::query::RATE;
use crate::monitoring::promql::{Level, SeriesOf, by, by_model};
use crate::monitoring::series::condition;

/// The sum of a gauge over all models, with each series counted once however many operators export it.
pub(super) fn sum_by(labels: &[&str], once: &[&str], level: Level) -> String {
    let every: Vec<_> = ["namespace", "model"].iter().chain(once).copied().collect();
    by("sum", labels, by("max", &every, level))
}

pub(super) fn models(series: &SeriesOf) -> Row {
    let ready = |status| condition(series, ConditionType::Ready, status);
    let replicas = series.gauge(&metrics::MODEL_REPLICAS);
    let refused = by_model("max", series.gauge(&metrics::MODEL_OBJECTS).eq("state", "refused"));
    let of_each = |counter| by_model("max", series.counter(counter).increase(RATE));
    Row {
        title: "Models",
        panels: vec![
            Panel::lines("Models by readiness", "short", "Models that are ready, and those that are not, by the reason of the condition Ready.")
                .query("ready", format!("count({})", by_model("max", ready(ConditionStatus::True))))
                .query("{{reason}}", sum_by(&["reason"], &["reason"], ready(ConditionStatus::False))),
            Panel::lines("Replicas by state", "short", "Worker pods of all models: wanted, there, of the present specification, ready and available.")
                .query("{{state}}", sum_by(&["state"], &["state"], replicas)),
            Panel::lines("Pods that wait", "short", "Pods that no node takes, and containers that wait, by the kubelet's reason.")
                .query("{{reason}}", format!("{} > 0", sum_by(&["reason"], &["reason"], series.gauge(&metrics::MODEL_WAITING))))
                .query("no node", format!("sum({}) > 0", by_model("max", series.gauge(&metrics::MODEL_UNSCHEDULABLE)))),
            Panel::lines("Restarts and failed loads", "short", "Worker containers that were restarted, and that ended with a failed load, of the ten worst models.")
                .query("{{namespace}}/{{model}} restarts", format!("topk(10, {} > 0)", of_each(&metrics::MODEL_RESTARTS)))
                .query("{{namespace}}/{{model}} failed loads", format!("topk(10, {} > 0)", of_each(&metrics::MODEL_LOAD_FAILURES))),
            Panel::lines("Objects by state", "short", "Generated objects of all models: in the cluster, refused by the API server, or of a kind that the cluster lacks.")
                .query("{{state}}", sum_by(&["state"], &["state"], series.gauge(&metrics::MODEL_OBJECTS))),
            Panel::number("Changes not taken up", "none", "Models whose specification is newer than the last pass over it.")
                .size(8, 8)
                .thresholds(&[(1.0, "yellow")])
                .query("", format!(
                    "count({} > {}) or vector(0)",
                    by_model("max", series.gauge(&metrics::MODEL_GENERATION)),
                    by_model("max", series.gauge(&metrics::MODEL_OBSERVED_GENERATION))
                )),
            table("Models that are not ready", "Each with the reason of its condition Ready.")
                .table(by("max", &["namespace", "model", "reason"], ready(ConditionStatus::False))),
            table("Models with refused objects", "The status of the model names the objects and the reason.")
                .table(format!("{refused} > 0")),
        ],
    }
}

pub(super) fn capacity(series: &SeriesOf) -> Row {
    const PLACE: &[&str] = &["zone", "capacity_type", "gpu"];
    let placed = |label: &str| sum_by(&[label], PLACE, series.gauge(&metrics::MODEL_PLACED));
    let requested = |metric: &Gauge| format!("topk(20, {})", sum_by(&["namespace"], PLACE, series.gauge(metric)));
    let info = by(
        "max",
        &["namespace", "model", "engine", "device", "template_revision"],
        series.gauge(&metrics::MODEL_SPEC_INFO),
    );
    let memory = by_model(
        "sum",
        by(
            "max",
            &["namespace", "model", "zone", "capacity_type", "gpu"],
            series.gauge(&metrics::MODEL_REQUESTED_MEMORY),
        ),
    );
    Row {
        title: "Capacity and cost",
        panels: vec![
            Panel::stacked(
                "Replicas by capacity type",
                "short",
                "Worker pods that have a node, by how it is paid for; unknown where its labels do not say, or the operator may not read nodes.",
            )
            .query("{{capacity_type}}", placed("capacity_type")),
            Panel::stacked("Replicas by zone", "short", "Worker pods that have a node, by its zone.")
                .query("{{zone}}", placed("zone")),
            Panel::stacked(
                "Replicas by GPU",
                "short",
                "Worker pods that have a node, by the product of its GPUs; without a name where it has none.",
            )
            .query("{{gpu}}", placed("gpu")),
            Panel::stacked(
                "Requested CPU",
                "short",
                "CPUs that worker pods hold of their nodes, used or not, by namespace.",
            )
            .query("{{namespace}}", requested(&metrics::MODEL_REQUESTED_CPU)),
            Panel::stacked(
                "Requested memory",
                "bytes",
                "Memory that worker pods hold of their nodes, used or not, by namespace.",
            )
            .query("{{namespace}}", requested(&metrics::MODEL_REQUESTED_MEMORY)),
            Panel::stacked(
                "Requested GPUs",
                "short",
                "GPUs that worker pods hold of their nodes, used or not, by namespace.",
            )
            .query("{{namespace}}", requested(&metrics::MODEL_REQUESTED_GPUS)),
            Panel::lines("Models that request most memory", "bytes", "The ten models whose pods hold most memory.")
                .size(12, 6)
                .query("{{namespace}}/{{model}}", format!("topk(10, {memory})")),
            table("What serves", "Engine, device and pinned template revision of each model.").table(info),
        ],
    }
}
