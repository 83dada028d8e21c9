//! `belfry top --once`: one look as text, for scripts and for people without a terminal.

use serde_json::{Value, json};

use super::state::{State, Worker};
use super::units::plain;
use super::view::{Screen, devices};

/// Every worker's snapshot as it came, with the worker's address.
pub(super) fn json(snapshots: &[(String, String)]) -> anyhow::Result<String> {
    let of = |(address, text): &(String, String)| -> anyhow::Result<Value> {
        let status: Value = serde_json::from_str(text)?;
        Ok(json!({ "address": address, "status": status }))
    };
    let list = snapshots.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// The tables of the screen without trends: a line a device and a line a model.
pub(super) fn table(state: &State) -> String {
    let several = state.workers.len() > 1;
    let mut table = vec![["WORKER", "DEVICE", "NAME", "USAGE", "MEMORY", "SHARE"].map(str::to_owned).to_vec()];
    for worker in &state.workers {
        table.extend(of_devices(worker));
    }
    let models = Screen::of(state).models;
    let mut rows = vec![["MODEL", "STATE", "DEVICE", "MEMORY", "QUEUE", "REQUESTS", "P95"].map(str::to_owned).to_vec()];
    for model in models {
        rows.push(vec![model.name, model.state.0, model.device, model.memory, model.queue, model.rate, model.p95]);
    }
    if several {
        rows[0][0] = "WORKER MODEL".to_owned();
    }
    format!("{}\n{}", aligned(&table), aligned(&rows))
}

fn of_devices(worker: &Worker) -> Vec<Vec<String>> {
    let label = plain(&worker.label);
    devices(worker)
        .into_iter()
        .map(|it| vec![label.clone(), it.device, it.name, it.usage, it.memory, it.share.0])
        .collect()
}

/// Rows with their cells below each other, two blanks apart.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.trim().chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", cell.trim()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
