//! The budgets of the objectives: how much is left, and how fast it is spent.

use serde_json::json;

use super::panel::{Panel, Row};
use crate::model::{Objective, ValidModel};
use crate::monitoring::objective::{self, BURNS};
use crate::monitoring::promql::SeriesOf;

pub(super) fn row(model: &ValidModel, series: &SeriesOf) -> Row {
    let panels = model.monitoring.objectives.iter().flat_map(|objective| of_objective(series, objective));
    Row { title: "Objectives", panels: panels.collect() }
}

fn of_objective(series: &SeriesOf, objective: &Objective) -> [Panel; 3] {
    let Objective { name, percent, .. } = objective;
    let budget = ((1.0 - objective.ratio) * 1e9).round() / 1e9;
    let spent = objective::ratio(series, objective, "30d");
    let burn = |window: &'static str| format!("{} / {budget}", objective::ratio(series, objective, window));
    let [bad, all] = objective::counts(series, objective).map(|count| format!("{count} / {}", objective::STEP_SECONDS));
    let lines: Vec<_> = BURNS
        .iter()
        .map(|pair| (pair.threshold(objective) / budget, if pair.critical { "red" } else { "orange" }))
        .collect();
    let lowest_first: Vec<_> = lines.into_iter().rev().collect();
    [
        Panel::number(
            format!("{name}: budget left"),
            "percentunit",
            format!("What is left of the {percent}% objective's budget of 30 days. It needs as much history in Prometheus."),
        )
        .size(6, 8)
        .thresholds_from("red", &[(0.0, "orange"), (0.25, "green")])
        .now("", format!("1 - {spent} / {budget}")),
        ["5m", "1h", "6h", "3d"].iter().fold(
            Panel::lines(
                format!("{name}: burn rate"),
                "none",
                format!("How many times faster than the {percent}% objective allows the budget is spent. 1 spends it in 30 days; the lines are where alerts ring."),
            )
            .size(12, 8)
            .thresholds(&lowest_first)
            .threshold_lines(),
            |panel, window| panel.query(window, burn(window)),
        ),
        Panel::lines(format!("{name}: bad requests"), "reqps", format!("Requests in a second that broke the {percent}% objective, and all that count."))
            .size(6, 8)
            .default("min", json!(0))
            .query("bad", bad)
            .query("all", all),
    ]
}
