//! The budgets of all objectives.
//!
//! An objective of latency records its own counts. One of availability has those of its model: it is an objective without counts of
//! its own.

use serde_json::json;

use super::super::lifecycle::table;
use super::super::panel::{Panel, Row};
use crate::monitoring::promql::{Level, Record, SeriesOf};

const EACH: &str = "{{namespace}}/{{model}} {{slo}}";
/// Seconds of the 30 days for which a budget is.
const PERIOD: u32 = 30 * 86_400;

pub(super) fn rows(series: &SeriesOf) -> Vec<Row> {
    vec![budgets(series), rates(series)]
}

fn recorded(series: &SeriesOf, record: &Record) -> Level {
    series.traffic(record)
}

/// The share of bad requests that each objective allows.
fn allowed(series: &SeriesOf) -> String {
    format!("(1 - {})", recorded(series, &Record::Objective))
}

/// Share of bad requests within a window, weighted by the requests.
fn ratio(series: &SeriesOf, window: &str) -> String {
    let sum = |record: Record| recorded(series, &record).over_time("sum", window);
    let own = format!("{} / {}", sum(Record::Errors("5m")), sum(Record::Total("5m")));
    let of_model = format!("{} / {}", sum(Record::Failures("5m")), sum(Record::Requests("5m")));
    let availability = format!(
        "0 * ({} unless on (namespace, model, slo) {}) + on (namespace, model) group_left () ({of_model})",
        recorded(series, &Record::Objective),
        recorded(series, &Record::Errors("5m"))
    );
    format!("({own} or {availability})")
}

/// What is left of each budget.
fn left(series: &SeriesOf) -> String {
    format!("1 - {} / {}", ratio(series, "30d"), allowed(series))
}

fn budgets(series: &SeriesOf) -> Row {
    Row {
        title: "Budgets",
        panels: vec![
            Panel::number("Objectives", "none", "Objectives of these models.")
                .size(4, 8)
                .now("", format!("count({}) or vector(0)", recorded(series, &Record::Objective))),
            Panel::number("Spent budgets", "none", "Objectives whose budget of 30 days is spent.")
                .size(4, 8)
                .thresholds(&[(1.0, "red")])
                .now("", format!("count(({}) <= 0) or vector(0)", left(series))),
            table(
                "Budget left",
                "What is left of each budget of 30 days, the lowest first. It needs as much history in Prometheus; with less it is the \
                share of what there is.",
            )
            .size(8, 8)
            .default("unit", json!("percentunit"))
            .table(format!("sort(sum by (namespace, model, slo) ({}))", left(series))),
            table(
                "Time until a budget is spent",
                "For how long each budget lasts if requests go on failing as within the last six hours. An objective that loses nothing is not here.",
            )
            .size(8, 8)
            .default("unit", json!("s"))
            .table(format!(
                "sort(sum by (namespace, model, slo) (clamp_min({}, 0) * {PERIOD} / ({} / {} > 0)))",
                left(series),
                ratio(series, "6h"),
                allowed(series)
            )),
        ],
    }
}

fn rates(series: &SeriesOf) -> Row {
    let burn = |window: &'static str| {
        format!("topk(20, {} / {} > 0)", recorded(series, &Record::ErrorRatio(window)), allowed(series))
    };
    let lines = &[(1.0, "yellow"), (3.0, "orange"), (6.0, "orange"), (14.4, "red")];
    let panel = |title: &str, window: &str| {
        Panel::lines(
            title,
            "none",
            format!("How many times faster than allowed each budget is spent, within {window}. 1 spends it in 30 days; the lines are where alerts ring for an objective of 99 % or more."),
        )
        .size(12, 8)
        .thresholds(lines)
        .threshold_lines()
    };
    Row {
        title: "How fast they are spent",
        panels: vec![
            panel("Burn rate of an hour", "an hour").query(EACH, burn("1h")),
            panel("Burn rate of five minutes", "five minutes").query(EACH, burn("5m")),
            Panel::lines(
                "Budget left over time",
                "percentunit",
                "What was left of each budget of 30 days, of the twenty lowest.",
            )
            .size(12, 8)
            .default("min", json!(null))
            .query(EACH, format!("bottomk(20, {})", left(series))),
            Panel::lines(
                "Requests within an hour",
                "short",
                "With few requests a single failure is a large share; alerts wait for five failures.",
            )
            .size(12, 8)
            .query("{{namespace}}/{{model}}", format!("bottomk(20, {})", recorded(series, &Record::Requests("1h")))),
        ],
    }
}
