//! `belfry top --once`: one look as text, for scripts and for people without a terminal.

use std::thread;
use std::time::{Duration, Instant};

use belfry_crds::contract::status::Snapshot;
use serde_json::{Value, json};

use super::link::Trouble;
use super::place::Place;
use super::state::{State, Worker};
use super::units::plain;
use super::view::{Screen, devices};

/// What was seen of a worker.
pub(super) struct Look {
    pub(super) place: Place,
    /// The last snapshot as it came, and all of them as they were read.
    pub(super) seen: Result<(String, Vec<Snapshot>), Trouble>,
}

/// Looks at workers for so long, at all at the same time: of each at one snapshot or more.
pub(super) fn look(places: Vec<Place>, key: Option<&str>, time: Duration) -> Vec<Look> {
    thread::scope(|scope| {
        let looks: Vec<_> =
            places.into_iter().map(|place| (place.clone(), scope.spawn(move || see(&place, key, time)))).collect();
        let panicked = || Err(Trouble::Lasting("the look failed; this is a fault of belfry top".to_owned()));
        looks
            .into_iter()
            .map(|(place, seen)| Look { place, seen: seen.join().unwrap_or_else(|_| panicked()) })
            .collect()
    })
}

fn see(place: &Place, key: Option<&str>, time: Duration) -> Result<(String, Vec<Snapshot>), Trouble> {
    let mut link = place.open(key)?;
    let (end, mut snapshots) = (Instant::now() + time, vec![]);
    loop {
        let (text, snapshot) = link.next()?;
        snapshots.push(snapshot);
        if Instant::now() >= end {
            return Ok((text, snapshots));
        }
    }
}

/// Every worker's snapshot as it came, and where it is; in its place the error, where there is none.
pub(super) fn json(looks: &[Look]) -> anyhow::Result<String> {
    let of = |look: &Look| -> anyhow::Result<Value> {
        let mut entry = look.place.json();
        match &look.seen {
            Ok((text, _)) => entry["status"] = serde_json::from_str(text)?,
            Err(trouble) => entry["error"] = json!(trouble.clone().words()),
        }
        Ok(entry)
    };
    let list = looks.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// The tables, and a line for each worker that can't be seen.
pub(super) fn tables(looks: Vec<Look>) -> String {
    let mut state = State::new(looks.iter().map(|look| look.place.label()));
    let mut unseen = String::new();
    for (worker, look) in looks.into_iter().enumerate() {
        match look.seen {
            Ok((_, snapshots)) => snapshots.into_iter().for_each(|snapshot| state.take(worker, snapshot)),
            Err(trouble) => {
                unseen += &format!("\nNOT SEEN {}: {}", plain(&look.place.label()), plain(&trouble.words()));
            }
        }
    }
    let end = if unseen.is_empty() { "" } else { "\n" };
    format!("{}{unseen}{end}", table(&state))
}

/// The tables of the screen without trends: a line a device and a line a model.
pub(super) fn table(state: &State) -> String {
    let several = state.workers.len() > 1;
    let mut table = vec![["WORKER", "DEVICE", "NAME", "USAGE", "MEMORY", "SHARE"].map(str::to_owned).to_vec()];
    for worker in state.workers.values() {
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
